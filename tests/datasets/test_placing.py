"""A mask and its picture on different grids: warped, or refused by name, never laid pixel by pixel."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import calculate_default_transform, reproject

from t2s_pipeline.datasets.placing import on_grid_of
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.labels import read_label
from t2s_pipeline.vision.pictures import read_picture
from tests.vision.rasters import UTM, tiff

GRID = Affine(*UTM["transform"])
PICTURE = read_picture(tiff(np.zeros((3, 40, 60), np.uint8), **UTM))
MASK = np.zeros((40, 60), np.uint8)
MASK[10:30, 20:50] = 1


def read(mask: np.ndarray, crs: str | None = UTM["crs"], transform: Affine = GRID) -> tuple[np.ndarray, list[str]]:
    placed = {"crs": crs} if crs else {}
    data = tiff(mask[None], transform=tuple(transform)[:6], **placed)
    pixels, notes = on_grid_of(PICTURE, read_label(data), "mask m.tif")
    return pixels, [note.kind for note in notes]


def test_the_same_grid_is_read_as_it_is():
    pixels, notes = read(MASK)
    assert np.array_equal(pixels, MASK == 1) and notes == []
    pixels, notes = read(MASK, transform=GRID @ Affine.translation(0.3, -0.3))
    assert np.array_equal(pixels, MASK == 1) and notes == []


@pytest.mark.parametrize("margin", [0, 7])
def test_a_mask_of_a_larger_or_smaller_part_finds_its_place(margin):
    larger = np.pad(MASK, margin) if margin else MASK[5:, 15:]
    transform = GRID @ Affine.translation(*((-margin, -margin) if margin else (15, 5)))
    pixels, notes = read(larger, transform=transform)
    assert np.array_equal(pixels, MASK == 1) and notes == ["warped"]


def test_a_mask_with_other_pixels_is_sampled_at_the_centres():
    pixels, notes = read(np.kron(MASK, np.ones((3, 3), np.uint8)), transform=GRID @ Affine.scale(1 / 3))
    assert np.array_equal(pixels, MASK == 1) and notes == ["warped"]


def test_a_mask_whose_first_row_is_the_southern_one_is_turned():
    pixels, notes = read(MASK[::-1][:-3], transform=GRID @ Affine.translation(0, 40) @ Affine.scale(1, -1))
    assert np.array_equal(pixels, MASK == 1) and notes == ["warped"]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:25833"])
def test_a_mask_in_another_crs_lies_where_it_lay(crs):
    bounds = rasterio.transform.array_bounds(40, 60, GRID)
    transform, width, height = calculate_default_transform(UTM["crs"], crs, 60, 40, *bounds, resolution=None)
    fine = transform @ Affine.scale(0.1)
    there = np.zeros((height * 10, width * 10), np.uint8)
    reproject(MASK, there, src_transform=GRID, src_crs=UTM["crs"], dst_transform=fine, dst_crs=crs)
    pixels, notes = read(there, crs, fine)
    assert np.count_nonzero(pixels != (MASK == 1)) <= 2 and notes == ["warped"]


def test_a_mask_elsewhere_is_refused_by_name():
    for crs, transform in ((UTM["crs"], GRID @ Affine.translation(500, 0)), ("EPSG:4326", GRID)):
        with pytest.raises(UnusableFileError, match=r"mask m.tif lies elsewhere") as fault:
            read(MASK, crs, transform)
        assert fault.value.reason == "other_place"


def test_without_a_crs_the_sizes_must_agree():
    pixels, notes = read(MASK, None)
    assert np.array_equal(pixels, MASK == 1) and notes == []
    assert read(MASK, None, GRID @ Affine.translation(9, 0))[1] == ["other_grid"]
    with pytest.raises(UnusableFileError, match=r"mask m.tif is 50×40, image 60×40"):
        read(MASK[:, :50], None)
