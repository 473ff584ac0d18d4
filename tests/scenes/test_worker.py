"""Prompts of a person are segmented in a view around them, or in the view that the request names."""

import pickle
from pathlib import Path

import pytest

pytest.importorskip("torch")

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes import worker
from t2s_pipeline.scenes.request import Requests, SceneRequest, read_result
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.view import SceneView
from tests.commands.page.painted_worker import PaintedAnswerer
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


class OtherWorker:
    """A team of one, which gets the workload as another process would: pickled."""

    def do(self, work, tasks, take):
        do = pickle.loads(pickle.dumps(work)).open("cpu")  # noqa: S301  # our own
        for number, task in reversed(list(tasks)):
            take(number, do(task))


class Lines(NoProgress):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def advance(self, done: int, note: str = "") -> None:
        self.lines.append((done, note))


def test_several_requests_are_shared_out_and_finished_ones_left_alone(scene: Path):
    prompts = (PromptObject(NEAR),)
    requests = [
        SceneRequest(path, "where?", scene.parent / str(number), prompts=prompts)
        for number, path in enumerate((scene, scene.parent / "nowhere.tif", scene))
    ]
    Requests({}, requests).write(scene.parent / "requests.json")
    progress = Lines()
    worker.answer_requests(scene.parent / "requests.json", progress, "cpu", OtherWorker())
    assert [len(read_result(request.result).objects) for request in requests] == [1, 0, 1]
    assert "nowhere.tif" in read_result(requests[1].result).fault
    assert [done for done, _ in progress.lines] == [1, 2, 3] and progress.lines[0][1] == "field.tif: where?"
    times = [request.result.stat().st_mtime_ns for request in requests]
    worker.answer_requests(scene.parent / "requests.json", progress, "cpu", OtherWorker())
    assert times == [request.result.stat().st_mtime_ns for request in requests] and len(progress.lines) == 3
