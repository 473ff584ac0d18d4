"""Prompts of a person are segmented in a view around them, or in the view that the request names."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes import worker
from t2s_pipeline.scenes.request import Requests, SceneRequest, read_result
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.view import SceneView
from tests.app.painted_worker import PaintedAnswerer
from tests.scenes.painted import painted, save

pytestmark = pytest.mark.worker

WIDE, NEAR = SceneView(300, 200, 256, 256, 128, 128), (400.0, 300.0, 440.0, 340.0)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scene of several views, with one object."""
    monkeypatch.setattr(worker, "SystemAnswerer", PaintedAnswerer)
    monkeypatch.setattr(worker.System, "from_json", lambda value: value)
    return save(tmp_path / "field.tif", painted(700, 900, [(400, 300, 440, 340)]))


def view_of(scene: Path, box: Box, view: SceneView | None) -> SceneView:
    """The view in which an object of that box is segmented."""
    request = SceneRequest(scene, "", scene.parent / "work", prompts=(PromptObject(box),), view=view)
    request.result.unlink(missing_ok=True)
    Requests({}, [request]).write(scene.parent / "requests.json")
    worker.answer_requests(scene.parent / "requests.json", NoProgress(), "cpu")
    result = read_result(request.result)
    assert result.fault == "" and len(result.objects) == 1
    return result.objects[0].pieces[0].view


def test_a_prompt_stays_in_its_view_while_it_lies_in_it(scene: Path):
    around = view_of(scene, NEAR, None)
    assert around.width == 128 and around != WIDE
    assert view_of(scene, NEAR, WIDE) == WIDE
    assert view_of(scene, (310.0, 300.0, 440.0, 340.0), WIDE) == WIDE


def test_a_prompt_that_leaves_the_view_gets_another_one(scene: Path):
    view = view_of(scene, (290.0, 300.0, 440.0, 340.0), WIDE)
    assert view != WIDE and view.box[0] <= 290 and view.box[2] >= 440


def test_a_small_scene_is_one_view_in_any_case(scene: Path):
    small = save(scene.parent / "small.tif", painted(150, 160, [(40, 30, 80, 70)]))
    assert view_of(small, (40.0, 30.0, 80.0, 70.0), SceneView(0, 0, 100, 100, 100, 100)).box == (0, 0, 160, 150)
