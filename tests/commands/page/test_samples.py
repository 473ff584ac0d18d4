"""Answers that are kept as samples: the folder, and that `t2s ingest custom` reads it."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

pytest.importorskip("duckdb")
pytest.importorskip("shapely")

from t2s_pipeline.commands.page.samples import KeptSample, keep
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.scenes.features import Feature, features_of
from t2s_pipeline.scenes.piece import Piece, SceneObject
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import SceneView
from tests.commands.test_cli import t2s
from tests.scenes.painted import UTM, is_target, painted, save

pytestmark = pytest.mark.orchestrator

BOXES = [(20, 30, 60, 70), (100, 20, 130, 50)]


def kept(home: Path, path: Path, objects: bool = True, **changes: object) -> KeptSample:
    """Keep the painted objects of a scene as the answer to a question."""
    arguments = {"dataset": "My Roofs", "split": "val", "question": "Where is it?", "view": None, **changes}
    with open_scene(path) as scene:
        features: list[Feature] = []
        if objects:
            view = SceneView(0, 0, scene.width, scene.height, scene.width, scene.height)
            prompt = PromptObject((0.0, 0.0, 9.0, 9.0))
            piece = Piece.of(view, is_target(scene.read(view)[0]), prompt, 0.9)
            assert piece is not None
            features = features_of((SceneObject((piece,), prompt, 0.9, None, 1),), scene)
        return keep(home, scene=scene, features=features, **arguments)  # type: ignore[arg-type]


def test_the_folder_is_read_by_ingest_custom(tmp_path: Path, capfd: pytest.CaptureFixture):
    image = painted(100, 160, BOXES)
    path = save(tmp_path / "roofs north.tif", image)
    kept(tmp_path, path)
    sample = kept(tmp_path, path, objects=False, question='Where is\u2028a "ship", if any?')
    assert sample.samples == 2 and sample.folder == tmp_path / "samples" / "my-roofs"
    done = t2s(tmp_path, *sample.command.split()[1:])
    assert done.returncode == 0, done.stderr
    rows = json.loads(t2s(tmp_path, "sql", "--json", "select mask_area from samples order by mask_area").stdout)
    assert [row["mask_area"] for row in rows] == [0, int(is_target(image).sum())]


def test_picture_and_mask_are_the_pixels_at_their_place(tmp_path: Path):
    image = painted(100, 160, BOXES)
    sample = kept(tmp_path, save(tmp_path / "roofs.tif", image))
    (mask,) = (sample.folder / "masks").iterdir()
    with rasterio.open(sample.folder / "images" / sample.image) as picture, rasterio.open(mask) as target:
        assert (np.moveaxis(picture.read(), 0, 2) == image).all()
        assert ((target.read(1) == 255) == is_target(image)).all() and set(np.unique(target.read(1))) == {0, 255}
        assert picture.transform == target.transform == UTM and picture.crs == target.crs


def test_of_a_large_scene_the_part_on_view_is_kept_at_its_place(tmp_path: Path):
    image = painted(400, 3000, [(2000, 100, 2100, 200)])
    sample = kept(tmp_path, save(tmp_path / "large.tif", image), view=SceneView(1900, 50, 300, 250, 300, 250))
    with rasterio.open(sample.folder / "images" / sample.image) as picture:
        assert (np.moveaxis(picture.read(), 0, 2) == image[50:300, 1900:2200]).all()
        assert picture.transform @ (0, 0) == UTM @ (1900, 50)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"view": None}, "has 3,000 × 400 pixels and a sample at most 2,048 per side: zoom in"),
        ({"view": SceneView(10, 10, 8, 300, 8, 300)}, "less than 16 pixels per side: zoom out"),
        ({"dataset": "../.."}, "a name with letters or digits"),
        ({"split": "dev"}, "There is no split dev"),
    ],
)
def test_what_cannot_be_kept_is_one_sentence_and_writes_nothing(tmp_path: Path, changes: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        kept(tmp_path, save(tmp_path / "large.tif", painted(400, 3000, [(9, 9, 99, 99)])), **changes)
    assert not (tmp_path / "samples").exists()


def test_the_same_question_about_the_same_picture_replaces_the_earlier_one(tmp_path: Path):
    path = save(tmp_path / "roofs.tif", painted(100, 160, BOXES))
    kept(tmp_path, path)
    assert kept(tmp_path, path, question="And there?").samples == 2
    sample = kept(tmp_path, path, objects=False)
    rows = [json.loads(line) for line in (sample.folder / "questions.jsonl").read_text("utf-8").splitlines()]
    assert [(row["question"], row["mask"] == "") for row in rows] == [("And there?", False), ("Where is it?", True)]
