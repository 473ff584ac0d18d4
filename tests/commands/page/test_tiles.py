"""Tiles of the map: together they are the scene, with one stretch, and transparent where nothing is."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from t2s_pipeline.commands.page.tiles import SIDE, levels_of, tile_of
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import SceneView
from tests.scenes.painted import save


def mosaic(path: Path, level: int) -> NDArray[np.uint8]:
    """All tiles of a level side by side, uint8 (rows, columns, 4)."""
    rows = []
    with open_scene(path) as scene:
        step = SIDE * 2**level
        for row in range(-(-scene.height // step)):
            tiles = [tile_of(scene, level, column, row) for column in range(-(-scene.width // step))]
            rows.append(
                np.hstack([np.array(Image.open(io.BytesIO(tile[0])).convert("RGBA")) for tile in tiles if tile])
            )
    return np.vstack(rows)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ramp of 16 bits, brighter to the right, with nodata in its first ten rows."""
    values = np.repeat(np.linspace(1000, 9000, 700).astype(np.uint16)[None, :, None], 300, axis=0)
    values[:10] = 0
    return save(tmp_path_factory.mktemp("deep") / "deep.tif", np.repeat(values, 3, axis=2), nodata=0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_tiles_of_a_level_are_the_scene_with_one_stretch(deep: Path, level: int):
    tiles = mosaic(deep, level)
    with open_scene(deep) as scene:
        image, present = scene.read(SceneView(0, 0, 700, 300, 700 >> level, 300 >> level))
    rows, columns = present.shape
    assert (tiles[:rows, :columns, 3] == np.where(present, 255, 0)).mean() > 0.99
    assert not tiles[rows + 1 :, :, 3].any() and not tiles[:, columns + 1 :, 3].any()
    # JPEG changes values a little; a stretch per tile would make each of the three tiles run from 0 to 255.
    difference = np.abs(tiles[20:rows, : columns - 1, :3].astype(int) - image[20:, : columns - 1])
    assert difference.max() <= 12


def test_a_tile_outside_of_the_scene_or_of_another_level_is_none(deep: Path):
    with open_scene(deep) as scene:
        for place in [(0, 3, 0), (0, 0, 2), (2, 1, 0), (3, 0, 0), (-1, 0, 0), (0, -1, 0), (60, 0, 0)]:
            assert tile_of(scene, *place) is None
        assert tile_of(scene, 2, 0, 0) is not None


@pytest.mark.parametrize(
    "size, level", [((256, 1), 0), ((257, 1), 1), ((512, 300), 1), ((513, 9), 2), ((20_000, 20_000), 7)]
)
def test_the_last_level_has_the_scene_in_one_tile(size: tuple[int, int], level: int):
    assert levels_of(*size) == level
    assert max(size) <= SIDE * 2**level
