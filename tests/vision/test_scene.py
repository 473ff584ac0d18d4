"""A raster as a scene: the same colours in every window, and one sentence for what cannot be used."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.scenes.typed_prompts import read_prompts
from t2s_pipeline.vision import scene as scene_module
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.pictures import decode_image
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import WHOLE, SceneView, Tiling
from tests.scenes.painted import painted, save


def a_view(width: int, height: int) -> SceneView:
    return SceneView(0, 0, width, height, width, height)


def test_every_window_has_the_same_stretch(tmp_path: Path):
    """A dark corner is as dark when it is read alone, and the whole is the picture that a benchmark would show."""
    rng = np.random.default_rng(0)
    values = (rng.random((80, 100, 3)) * 200).astype(np.uint16)
    values[:, 50:] *= 20
    path = save(tmp_path / "s.tif", values, photometric="RGB")
    with open_scene(path) as scene:
        whole, _ = scene.read(a_view(100, 80))
        part, _ = scene.read(SceneView(10, 20, 30, 25, 30, 25))
    assert np.array_equal(part, whole[20:45, 10:40])
    assert np.array_equal(whole, decode_image(path.read_bytes()))


def test_bands_are_assumed_aloud_or_named(tmp_path: Path):
    path = save(tmp_path / "s.tif", np.arange(13 * 48, dtype=np.uint16).reshape(6, 8, 13))
    with open_scene(path) as scene:
        assert scene.bands == (1, 2, 3)
        assert scene.notes == ("It has 13 bands: bands 1, 2, 3 are shown as red, green, blue. --bands names others.",)
    with open_scene(path, (4, 3, 2)) as scene:
        assert scene.notes == () and scene.read(a_view(8, 6))[0].shape == (6, 8, 3)
    with pytest.raises(InputError, match="band 14 is asked for, and the file has 13"), open_scene(path, (14,)):
        pass


def test_a_palette_gives_its_colours(tmp_path: Path):
    path = tmp_path / "s.tif"
    with rasterio.open(path, "w", driver="GTiff", width=4, height=2, count=1, dtype="uint8") as file:
        file.write(np.array([[[0, 1, 2, 2], [1, 1, 0, 2]]], np.uint8))
        file.write_colormap(1, {0: (1, 2, 3, 255), 1: (200, 0, 0, 255), 2: (0, 0, 250, 255)})
    with open_scene(path) as scene:
        image, _ = scene.read(a_view(4, 2))
    assert image[0].tolist() == [[1, 2, 3], [200, 0, 0], [0, 0, 250], [0, 0, 250]]


def test_ground_control_points_are_no_grid(tmp_path: Path):
    path = tmp_path / "s.tif"
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as file:
        file.write(np.ones((1, 8, 8), np.uint8))
        file.gcps = ([GroundControlPoint(0, 0, 10, 50), GroundControlPoint(8, 8, 11, 49)], "EPSG:4326")
    with open_scene(path) as scene:
        assert any("ground control points and no grid" in note for note in scene.notes)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path):
    text, folder = tmp_path / "notes.tif", tmp_path / "folder.tif"
    text.write_text("no raster")
    folder.mkdir()
    empty = save(tmp_path / "empty.tif", np.zeros((8, 8, 3), np.uint16), nodata=0)
    numbers = save(tmp_path / "complex.tif", np.ones((8, 8, 1), np.complex64))
    sparse = tmp_path / "sparse.tif"
    shape = {"width": 300_000, "height": 300_000, "count": 1, "dtype": "uint8"}
    with rasterio.open(sparse, "w", driver="GTiff", sparse_ok=True, tiled=True, bigtiff="yes", **shape):
        pass
    for path, sentence in (
        (tmp_path / "missing.tif", "There is no file"),
        (text, "cannot be read as a raster"),
        (folder, "is no file"),
        (empty, "every pixel is nodata"),
        (numbers, "complex numbers"),
        (sparse, "300,000 × 300,000 pixels"),
    ):
        with pytest.raises(InputError, match=sentence) as fault, open_scene(path) as scene:
            scene.read(a_view(8, 8))
        assert "\n" not in str(fault.value) and path.name in str(fault.value)


@given(
    size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    tile=st.integers(64, 900),
    share=st.floats(0, 0.5),
    factor=st.sampled_from([0.5, 1.0, 1.7, 4.0]),
    origin=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
)
def test_tiles_cover_the_scene_and_overlap(
    size: tuple[int, int], tile: int, share: float, factor: float, origin: tuple[int, int]
):
    tiling = Tiling(tile, int(share * tile), factor, origin)
    first, *tiles = tiling.plan(*size)
    assert first.box == (0, 0, *size)
    if max(size) / factor <= WHOLE * tile:
        assert tiles == []
        return
    for axis, length in enumerate(size):
        starts = sorted({view.box[axis] for view in tiles})
        ends = sorted({view.box[axis + 2] for view in tiles})
        assert starts[0] == 0 and ends[-1] == length
        least = round(tiling.overlap * factor)
        assert all(end - start >= min(least, length) for start, end in zip(starts[1:], ends, strict=False))
    assert len(tiles) == len(set(tiles))


def test_too_many_tiles_are_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"has 41,616 tiles of 840 pixels.*--resolution"):
        Tiling(840, 105).plan(150_000, 150_000)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((31, 0), "A tile of 31 pixels is too small: give --tile at least 32"),
        ((64, 33), "Tiles of 64 pixels cannot overlap by 33: give --overlap from 0 to 32"),
        ((64, -1), "cannot overlap by -1"),
        ((64, 0, 0.0), "The resolution must be above 0"),
        ((64, 0, float("nan")), "The resolution must be above 0"),
    ],
)
def test_numbers_of_tiles_that_cannot_be_used_are_one_sentence(numbers: tuple, sentence: str):
    with pytest.raises(InputError, match=sentence):
        Tiling(*numbers)
    Tiling(32, 16)


def test_a_turned_picture_and_grey_values_from_white_to_black_are_read_as_they_are_stored(tmp_path: Path):
    values = np.array([[0, 1000], [2000, 65535]], np.uint16)[..., None]
    turned = save(tmp_path / "turned.tif", values)
    with rasterio.open(turned, "r+") as file:
        file.update_tags(EXIF_Orientation="6")
    inverted = save(tmp_path / "inverted.tif", values, photometric="MINISWHITE")
    with open_scene(turned) as plain, open_scene(inverted) as white:
        assert "It is stored turned (EXIF orientation), and is asked as it is stored." in plain.notes
        assert np.array_equal(white.read(a_view(2, 2))[0], 255 - plain.read(a_view(2, 2))[0])


def test_limits_of_values_are_remembered_for_some_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scene_module, "MOST_LIMITS", 2)
    monkeypatch.setattr(scene_module, "_LIMITS", {})
    for number in range(4):
        values = np.full((4, 4, 1), 100 * (number + 1), np.uint16)
        values[0, 0] = 1
        with open_scene(save(tmp_path / f"{number}.tif", values)) as scene:
            low, high = scene.stretch
        assert 1 <= low < high <= 100 * (number + 1)
        assert len(scene_module._LIMITS) <= 2


UTM = Place("", (0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0))


def test_prompts_are_read_in_pixels_and_on_the_map():
    text = "box=10,20,60.5,80,point=30,40, point=31,41 not=12,70"
    expected = PromptObject((10, 20, 60.5, 80), ((30, 40), (31, 41)), ((12, 70),))
    assert read_prompts(text, UTM, 100, 100) == expected
    assert read_prompts("box=60,80,10,20", UTM, 100, 100) == PromptObject((10, 20, 60, 80))
    assert read_prompts("point=1005,1980", UTM, 100, 100, on_map=True) == PromptObject(None, ((10, 40),))


@pytest.mark.parametrize(
    "text",
    ["", "box=1,2,3", "box=1,2,3,x", "not=3,4", "circle=1,2", "box=1,2,1,5", "point=nan,3", "box=1,2,3,4 box=2,2,3,4"],
)
def test_other_texts_are_no_prompt(text: str):
    with pytest.raises(InputError, match="is no prompt"):
        read_prompts(text, UTM, 100, 100)


def test_a_prompt_outside_of_the_scene_says_where_it_is():
    with pytest.raises(InputError, match=r"column 120\.0, row 5\.0"):
        read_prompts("point=120,5", UTM, 100, 100)


def test_a_small_pipe_is_no_scene(tmp_path: Path):
    import os

    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(InputError, match="is no file"), open_scene(tmp_path / "pipe.tif"):
        pass
    with open_scene(save(tmp_path / "s.tif", painted(8, 8, []))) as scene:
        assert scene.has_grid


@pytest.mark.parametrize("rows", [53, 64, 100, 200])
def test_strips_of_a_large_view_do_not_show(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A view that is read in strips, which bounds the memory, has the values of one read."""
    values = np.random.default_rng(0).integers(0, 255, (200, 150, 3)).astype(np.uint8)
    values[40:60] = 0
    path = save(tmp_path / "s.tif", values, nodata=0)
    view = SceneView(10, 0, 140, 200, 70, rows)
    with open_scene(path) as scene:
        image, present = scene.read(view)
        monkeypatch.setattr("t2s_pipeline.vision.scene.PIXELS_AT_ONCE", 3000)
        in_strips, also_present = scene.read(view)
    assert np.abs(image.astype(int) - in_strips).max() <= 1 and np.array_equal(present, also_present)
