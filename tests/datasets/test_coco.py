"""Run lengths and polygons give pycocotools' own masks, and nothing unsound reaches its decoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from t2s_pipeline.datasets.coco import CocoMask
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError

# pycocotools' wrapper and NumPy 2 disagree about an argument's name; the pixels are the same.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDES = st.integers(1, 60)


def drawn(value: object, width: int, height: int) -> np.ndarray:
    return masks.decode(CocoMask((value,)).mask(width, height))


@st.composite
def masks_with_size(draw) -> np.ndarray:
    height, width = draw(SIDES), draw(SIDES)
    bits = np.frombuffer(draw(st.binary(min_size=1, max_size=40)), dtype=np.uint8)
    return np.resize(np.unpackbits(bits), (height, width)).astype(bool)


@given(masks_with_size(), st.booleans(), st.booleans())
def test_run_lengths_plain_or_compressed_alone_or_in_a_list_are_the_mask(mask, compressed, listed):
    rle = masks.encode(mask)
    counts = rle.counts if compressed else masks.run_lengths(rle.counts).tolist()
    part = {"size": list(mask.shape), "counts": counts}
    assert np.array_equal(drawn([part] if listed else part, mask.shape[1], mask.shape[0]), mask)


@given(SIDES, SIDES, st.lists(st.lists(st.floats(-0.4, 1.4), min_size=6, max_size=12), min_size=1, max_size=3))
def test_polygons_are_drawn_as_pycocotools_draws_them(width, height, outlines):
    polygons = [
        [x * (width if place % 2 == 0 else height) for place, x in enumerate(outline[: len(outline) // 2 * 2])]
        for outline in outlines
    ]
    theirs = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width))).astype(bool)
    assert np.array_equal(drawn(polygons, width, height), theirs)


@given(st.lists(masks_with_size(), min_size=1, max_size=3))
def test_parts_are_united(many):
    height, width = min(mask.shape[0] for mask in many), min(mask.shape[1] for mask in many)
    cut = [mask[:height, :width] for mask in many]
    parts = [{"size": [height, width], "counts": masks.encode(mask).counts} for mask in cut]
    assert np.array_equal(drawn(parts, width, height), np.logical_or.reduce(cut))
    together = CocoMask(tuple(parts)).mask(width, height)
    assert np.array_equal(masks.decode(together), np.logical_or.reduce(cut))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=8) | st.fixed_dictionaries({}, optional={"size": inner, "counts": inner, "x": inner})
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_mask_of_the_images_size_or_refused(value):
    try:
        mask = drawn(value, 20, 12)
    except UnusableFileError as error:
        assert error.reason in ("invalid_mask", "size_mismatch")
        return
    assert mask.shape == (12, 20)


FULL = {"size": [12, 20], "counts": [240]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({**FULL, "counts": [239]}, "invalid_mask"),
        ({**FULL, "counts": [250, -10]}, "invalid_mask"),
        ({**FULL, "counts": [True, 239]}, "invalid_mask"),
        ({**FULL, "counts": [240.5]}, "invalid_mask"),
        ({**FULL, "counts": [0] * 300}, "invalid_mask"),
        ({**FULL, "counts": "0" * (masks.MAX_COUNTS_BYTES + 1)}, "invalid_mask"),
        ({**FULL, "counts": "é"}, "invalid_mask"),
        ({**FULL, "counts": None}, "invalid_mask"),
        ({**FULL, "size": [20, 12]}, "size_mismatch"),
        ({**FULL, "size": [2**40, 2**40]}, "size_mismatch"),
        ({**FULL, "size": [12]}, "invalid_mask"),
        ({**FULL, "size": None}, "invalid_mask"),
        ([[0, 0, 5, 5, 5]], "invalid_mask"),
        ([[0, 0, 5, 5, 5, float("nan")]], "invalid_mask"),
        ([[0, 0, 5, 5, 5, 1e308]], "invalid_mask"),
        ([[0, 0, 5, 5, 5, 10**400]], "invalid_mask"),
        ([[0, 0, 5, 5, "5", 5]], "invalid_mask"),
        ([[0, 0, 41, 5, 5, 5]], "invalid_mask"),
        ([[0, 0, 20, 12] * 60_000], "invalid_mask"),
        ([[]], "invalid_mask"),
        ([], "invalid_mask"),
        ("counts", "invalid_mask"),
        ([FULL] * 10_001, "invalid_mask"),
    ],
)
def test_hostile_segmentations_are_refused_with_a_reason(value, reason):
    with pytest.raises(UnusableFileError) as told:
        drawn(value, 20, 12)
    assert told.value.reason == reason


def test_an_annotation_made_for_another_size_is_refused():
    with pytest.raises(UnusableFileError, match="annotated at 800×800, image 20×12"):
        CocoMask(([[0, 0, 5, 0, 5, 5]],), 800, 800).mask(20, 12)
