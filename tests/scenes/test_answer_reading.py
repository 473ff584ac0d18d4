"""An answer that is read back from its files is the answer that was written."""

from pathlib import Path

import pytest

pytest.importorskip("shapely")

from t2s_pipeline.scenes.answer_files import write_answer
from t2s_pipeline.scenes.answer_reading import Thought, read_answer
from t2s_pipeline.scenes.features import features_of
from t2s_pipeline.scenes.request import SceneResult
from t2s_pipeline.scenes.search import ViewAnswer
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import SceneView
from tests.scenes.test_answer_files import ABOUT, RASTERS, random_objects


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_objects_and_thoughts_come_back(path: Path, tmp_path: Path):
    with open_scene(path) as scene:
        objects = random_objects(scene.height, scene.width, seed=3)
        features = features_of(objects, scene)
        view = SceneView(0, 0, scene.width, scene.height, scene.width, scene.height)
        views = (
            ViewAnswer(view, "ok", "", "<answer>", "I think.", objects[0].pieces),
            ViewAnswer(view, "failed", "why"),
        )
        result = SceneResult(objects, views)
        write_answer(tmp_path / "answer", "objects.gpkg", scene, features, result, ABOUT, tmp_path / "tmp")
        answer = read_answer(tmp_path / "answer", "objects.gpkg", scene.place)
    assert answer.thoughts == (
        Thought(view, "ok", "", "I think.", "<answer>", 1),
        Thought(view, "failed", "why", "", "", 0),
    )
    assert len(answer.features) == len(features) > 0
    for ours, written in zip(answer.features, features, strict=True):
        assert ours.outline.equals(written.outline), "positions are whole pixels again"
        same = ("pixels", "area_m2", "confidence", "agreement", "bounds", "prompt", "views")
        assert [getattr(ours, name) for name in same] == [getattr(written, name) for name in same]


def test_an_answer_without_objects_comes_back(tmp_path: Path):
    with open_scene(RASTERS[0]) as scene:
        write_answer(tmp_path / "answer", "objects.gpkg", scene, [], SceneResult(), ABOUT, tmp_path / "tmp")
        answer = read_answer(tmp_path / "answer", "objects.gpkg", scene.place)
    assert answer.features == answer.thoughts == ()
