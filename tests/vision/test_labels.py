"""A mask is the target and nothing else, at any depth; what looks unintended is told, and settings decide otherwise."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.labels import place_notes, read_label
from t2s_pipeline.vision.pixel_rules import PixelRules
from t2s_pipeline.vision.tiff_tags import tiff_tags
from tests.vision.rasters import UTM, tiff

SQUARE = np.zeros((1, 8, 8), dtype=np.uint8)
SQUARE[0, 2:5, 2:6] = 1
TARGET = SQUARE[0].astype(bool)


def png(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def kinds(data: bytes, rules: PixelRules | None = None) -> list[str]:
    return [note.kind for note in read_label(data, rules or PixelRules()).notes]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_depth_any_bands_and_any_absence_give_the_target(data):
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])))
    count = data.draw(st.integers(1, 5))
    values = data.draw(arrays.arrays(np.uint8, (count, 7, 5), elements=st.sampled_from([0, 0, 1, 2, 255])))
    values = values.astype(dtype) * data.draw(st.sampled_from([1, 100] if dtype.itemsize > 1 else [1]))
    nodata = data.draw(st.sampled_from([None, 0, 1, 255]))
    if dtype.kind == "f":
        values[data.draw(arrays.arrays(bool, values.shape))] = np.nan
    options = data.draw(st.sampled_from([{}, {"compress": "deflate"}, {"interleave": "band"}]))
    label = read_label(tiff(values, nodata=nodata, photometric="minisblack", alpha="unspecified", **options))
    present = np.isfinite(values) & (values != nodata if nodata is not None else True)
    assert np.array_equal(label.mask, ((values != 0) & present).any(axis=0))
    ignored = int(((values != 0) & ~present).sum(axis=(1, 2)).max())
    counts = [note.detail.split()[0] for note in label.notes if note.kind == "absent_pixels"]
    assert counts == ([str(ignored)] if ignored else [])


@pytest.mark.parametrize("colours", [1, 3])
def test_a_sample_beside_the_colours_that_is_no_alpha_is_a_band(colours):
    values = np.zeros((colours + 1, 7, 5), dtype=np.uint8)
    values[-1, 2, 3] = 1
    photometric = "minisblack" if colours == 1 else "rgb"
    assert read_label(tiff(values, photometric=photometric, alpha="unspecified")).mask.sum() == 1
    assert not read_label(tiff(values, photometric=photometric, alpha="yes")).mask.any()


@given(arrays.arrays(np.uint16, (6, 7), elements=st.sampled_from([0, 1, 255, 256, 65535])))
def test_sixteen_bits_of_a_png_are_sixteen_bits(values):
    assert np.array_equal(read_label(png(values)).mask, values != 0)


RULES = [
    ({"mask_value": (2,)}, lambda v: v == 2),
    ({"mask_value": (2,), "invert_mask": True}, lambda v: v != 2),
    ({"threshold": 1}, lambda v: v > 1),
    ({"invert_mask": True}, lambda v: v == 0),
]


@pytest.mark.parametrize(("given_rules", "wanted"), RULES, ids=["value", "not_the_value", "threshold", "inverted"])
@given(arrays.arrays(np.uint8, (5, 4), elements=st.integers(0, 3)))
def test_settings_decide_otherwise(given_rules, wanted, values):
    rules = PixelRules(**given_rules)
    assert np.array_equal(read_label(png(values), rules).mask, wanted(values))
    assert np.array_equal(read_label(tiff(values[None].astype("int16")), rules).mask, wanted(values))


def test_absent_pixels_are_no_target_under_any_setting():
    values = SQUARE.copy()
    values[0, 0] = 255
    label = read_label(tiff(values, nodata=255), PixelRules(invert_mask=True))
    assert not label.mask[0].any()
    assert np.array_equal(label.mask[1:], ~TARGET[1:])


def test_a_colour_may_use_the_value_of_nodata_in_some_of_its_bands():
    red = np.stack([SQUARE[0] * 255, SQUARE[0] * 0, SQUARE[0] * 0])
    file = tiff(red, photometric="rgb", nodata=0)
    assert np.array_equal(read_label(file).mask, TARGET)
    assert np.array_equal(read_label(file, PixelRules(mask_value=(255, 0, 0))).mask, TARGET)


def test_a_value_of_three_numbers_is_a_colour_and_one_number_is_the_index_of_a_palette():
    colours = np.zeros((8, 8, 3), dtype=np.uint8)
    colours[TARGET] = (255, 0, 0)
    colours[0] = (255, 255, 0)
    assert np.array_equal(read_label(png(colours), PixelRules(mask_value=(255, 0, 0))).mask, TARGET)
    palette = Image.fromarray(SQUARE[0] * 3, "P")
    palette.putpalette([0, 0, 0, 9, 9, 9, 9, 9, 9, 0, 0, 0])  # index 3 is black
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    assert not read_label(buffer.getvalue()).mask.any()
    assert np.array_equal(read_label(buffer.getvalue(), PixelRules(mask_value=(3,))).mask, TARGET)
    with pytest.raises(UnusableFileError, match="--mask-value names 3 numbers, and the file has 1 band"):
        read_label(png(SQUARE[0]), PixelRules(mask_value=(1, 2, 3)))


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_what_jpeg_leaves_between_0_and_255_is_counted_and_no_target(kind):
    pixels = np.kron(SQUARE, np.ones((1, 9, 9), dtype=np.uint8)) * 255
    if kind == "tiff":
        data = tiff(pixels, compress="jpeg")
    else:
        buffer = io.BytesIO()
        Image.fromarray(pixels[0]).save(buffer, "JPEG", quality=75)
        data = buffer.getvalue()
    label = read_label(data)
    assert np.array_equal(label.mask, pixels[0] > 0)
    (note,) = label.notes
    assert note.kind == "lossy_mask"
    assert int(note.detail.split()[0]) > 20
    assert kinds(data, PixelRules(threshold=127)) == []


def min_is_white(pixels: np.ndarray) -> bytes:
    return tiff(255 - pixels[None], photometric="miniswhite")


def two_pages() -> bytes:
    buffer = io.BytesIO()
    pages = [Image.fromarray(SQUARE[0]), Image.fromarray(1 - SQUARE[0])]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


def inverted_palette() -> bytes:
    palette = Image.fromarray(SQUARE[0], "P")
    palette.putpalette([255, 255, 255, 0, 0, 0])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    return buffer.getvalue()


SOUTH_UP = {"crs": UTM["crs"], "transform": (10.0, 0.0, 500_000.0, 0.0, 10.0, 4_999_920.0)}


@pytest.mark.parametrize(
    ("data", "told", "mask"),
    [
        (png(np.full((8, 8), 7, dtype=np.uint8)), ["all_target"], ~TARGET | TARGET),
        (inverted_palette(), ["inverted_palette"], ~TARGET),
        (min_is_white(SQUARE[0] * 255), ["min_is_white"], TARGET),
        (two_pages(), ["several_pages"], TARGET),
        (png(SQUARE[0] + (np.arange(64).reshape(8, 8) > 60).astype(np.uint8) * 2), ["several_values"], None),
        (tiff(SQUARE, **SOUTH_UP), ["south_up"], TARGET),
        (tiff(SQUARE, **UTM), [], TARGET),
        (png(SQUARE[0] * 255), [], TARGET),
    ],
    ids=lambda value: str(value) if isinstance(value, list) else "",
)
def test_what_looks_unintended_is_told_and_read_by_the_rule(data, told, mask):
    assert kinds(data) == told
    if mask is not None:
        assert np.array_equal(read_label(data).mask, mask)


def test_another_place_than_that_of_the_picture_is_told():
    here = tiff_tags(tiff(SQUARE, **UTM)).grid
    shifted = {**UTM, "transform": (10.0, 0.0, 500_040.0, 0.0, -10.0, 5_000_000.0)}
    a_little = {**UTM, "transform": (10.0, 0.0, 500_003.0, 0.0, -10.0, 5_000_000.0)}
    for options, told in (
        (UTM, []),
        (a_little, []),
        (shifted, ["other_grid"]),
        (SOUTH_UP, ["other_grid"]),
        ({**UTM, "crs": "EPSG:4326"}, ["other_crs"]),
    ):
        there = tiff_tags(tiff(SQUARE, **options)).grid
        assert [note.kind for note in place_notes(there, here, 8, 8)] == told
    assert place_notes(None, here, 8, 8) == []


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"bands": (1, 2)}, "three bands"),
        ({"bands": (0, 1, 2)}, "The first is 1"),
        ({"mask_value": (1, 2)}, "one number, or the three numbers"),
        ({"mask_value": (1,), "threshold": 2}, "exclude each other"),
    ],
)
def test_settings_that_mean_nothing_are_one_sentence(rules, words):
    with pytest.raises(InputError, match=words):
        PixelRules(**rules)


@given(
    st.builds(
        PixelRules,
        bands=st.sampled_from([(), (4,), (4, 3, 2)]),
        mask_value=st.sampled_from([(), (255.0,), (1.0, 2.0, 3.0)]),
        invert_mask=st.booleans(),
    )
)
def test_settings_survive_the_file_that_remembers_them(rules):
    assert PixelRules.of(rules.settings) == rules
