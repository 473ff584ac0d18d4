"""Questions about scenes from file to answer: nothing twice, nothing half, one sentence for what cannot be answered."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("shapely")

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.synthetic.studies import STUDY_DATASETS
from t2s_pipeline.steps.best_system import available_segmenters, best_system, knows_drawn_scenes_only
from t2s_pipeline.steps.scene_answers import (
    SceneAnswer,
    SceneOptions,
    SceneQuestion,
    answer_folder,
    answer_scenes,
    require_question,
)
from t2s_pipeline.systems.resolve import resolve
from tests.scenes.painted import ByColour, answer_by_colour, painted, save

PLAIN = SceneOptions()
FILES = {"mask.tif", "objects.gpkg", "panel.png", "answer.json"}


@dataclass
class Worker:
    """A ``Launch`` that answers by colour."""

    answerers: list[ByColour] = field(default_factory=list)
    fails_at: frozenset[int] = frozenset()

    def __call__(self, arguments: Sequence[str]) -> None:
        assert arguments[0] == "ask"
        for answerer in answer_by_colour(Path(arguments[2]), fails_at=self.fails_at, batch=1):
            self.answerers.append(answerer)


def ask(
    home: Path, worker: Worker, paths: Sequence[Path], options: SceneOptions = PLAIN, question: str = "Where?"
) -> list[SceneAnswer]:
    settings = replace(Settings.from_env(), home=home)
    asked = [SceneQuestion(path, question, answer_folder(home / "answers", path, question)) for path in paths]
    return list(answer_scenes(settings, worker, resolve("zero-shot-mini", settings), asked, options))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return save(tmp_path / "scene.tif", painted(150, 200, [(10, 12, 50, 40), (100, 60, 140, 90)]))


def test_an_answer_is_made_once(scene: Path, tmp_path: Path):
    worker = Worker()
    (answer,) = ask(tmp_path, worker, [scene])
    assert {path.name for path in answer.asked.folder.iterdir()} == FILES and len(answer.features) == 2
    assert list((tmp_path / "tmp" / "ask").iterdir()) == []
    (again,) = ask(tmp_path, worker, [scene])
    assert again.result is None and len(worker.answerers) == 1
    ask(tmp_path, worker, [scene], SceneOptions(fresh=True))
    ask(tmp_path, worker, [scene], SceneOptions(tile=80))
    ask(tmp_path, worker, [scene], question="Which?")
    scene.write_bytes(save(tmp_path / "other.tif", painted(150, 200, [(10, 12, 50, 40)])).read_bytes())
    (changed,) = ask(tmp_path, worker, [scene])
    assert len(worker.answerers) == 5 and len(changed.features) == 1


def test_a_file_that_cannot_be_read_does_not_stop_the_others(scene: Path, tmp_path: Path):
    bad = tmp_path / "bad.tif"
    bad.write_text("no raster")
    first, second = ask(tmp_path, Worker(), [bad, scene])
    assert "cannot be read as a raster" in first.fault and not first.asked.folder.exists()
    assert second.fault == "" and len(second.features) == 2


def test_a_failed_view_is_nodata_until_it_succeeds(scene: Path, tmp_path: Path):
    import rasterio

    (answer,) = ask(tmp_path, Worker(fails_at=frozenset({3})), [scene])
    assert answer.result is not None and len(answer.result.failed()) == 1
    with rasterio.open(answer.asked.folder / "mask.tif") as mask:
        assert (mask.read(1) == 255).any()
    worker = Worker()
    (again,) = ask(tmp_path, worker, [scene])
    assert len(worker.answerers[0].asked) == 1
    with rasterio.open(again.asked.folder / "mask.tif") as mask:
        assert not (mask.read(1) == 255).any()


def test_a_resolution_in_metres_reads_a_coarser_scene(scene: Path, tmp_path: Path):
    worker = Worker()
    ask(tmp_path, worker, [scene], SceneOptions(resolution=1.0, tile=96, overlap=16))
    assert worker.answerers[0].asked == [(75, 100)]  # pixels of half a metre
    bare = save(tmp_path / "bare.png", painted(60, 80, []), driver="PNG", crs=None, transform=None)
    (answer,) = ask(tmp_path, worker, [bare], SceneOptions(resolution=1.0))
    assert "states no CRS" in answer.fault


def test_every_scene_without_values_is_told(tmp_path: Path):
    empty = save(tmp_path / "empty.tif", np.zeros((8, 8, 3), np.uint16), nodata=0)
    black = save(tmp_path / "black.tif", np.zeros((8, 8, 3), np.uint8), nodata=0)
    for answer in ask(tmp_path, Worker(), [empty, black]):
        assert "every pixel is nodata" in answer.fault and not answer.asked.folder.exists()


def test_questions_and_thoughts_stay_text(scene: Path, tmp_path: Path):
    question = "<script>alert(1)</script> Где?"
    (answer,) = ask(tmp_path, Worker(), [scene], question=question)
    content = json.loads((answer.asked.folder / "answer.json").read_text("utf-8"))
    assert content["question"] == question and answer.asked.folder.name.startswith("script-alert-1-script-")


def test_a_question_has_limits():
    assert require_question("  Where \n are  they? ") == "Where are they?"
    with pytest.raises(InputError, match="10,000 characters, more than 2,000"):
        require_question("x" * 10_000)
    with pytest.raises(InputError, match="is empty"):
        require_question(" \n")


def test_the_best_system_of_an_empty_home_is_the_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    choice = best_system(replace(Settings.from_env(), home=tmp_path))
    assert choice.system.name == "zero-shot-mini" and knows_drawn_scenes_only(choice.system)
    assert available_segmenters()[:3] == ["sam2-mini", "sam2-mini-small", "sam2-mini-large"]
    assert all(knows_drawn_scenes_only(replace(choice.system, dataset=name)) for name in STUDY_DATASETS)
    assert not knows_drawn_scenes_only(replace(choice.system, dataset="earthreason"))
