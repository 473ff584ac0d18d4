"""What is counted on run lengths is what would be counted on pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.run_lengths import Runs
from tests.vision.test_masks import MASKS

SIZES = st.integers(1, 60)


def of(mask: np.ndarray) -> Runs:
    return Runs.of(masks.encode(mask))


def pixels(runs: Runs) -> np.ndarray:
    """The mask (height, width) that the flips describe, by the definition."""
    positions = np.arange(runs.height * runs.width)
    flipped = (runs.flips[None, :] <= positions[:, None]).sum(axis=1)
    return (flipped % 2 == 1).reshape(runs.width, runs.height).T


@given(MASKS)
def test_the_area_is_the_number_of_target_pixels(mask):
    assert of(mask).area == mask.sum()


@given(MASKS, st.integers(0, 10), st.integers(0, 10))
def test_the_intersection_is_the_number_of_shared_pixels(mask, down, right):
    other = np.roll(mask, (down, right), (0, 1)) ^ (np.arange(mask.shape[1]) % 7 == 0)
    assert of(mask).intersection(of(other)) == (mask & other).sum()
    assert of(mask).intersection(of(~mask)) == 0


@given(MASKS, SIZES, SIZES)
def test_resizing_gives_the_pixels_that_resizing_pixels_gives(mask, height, width):
    resized = of(mask).nearest(height, width)
    expected = masks.nearest(mask, height, width)
    assert resized.area == expected.sum()
    assert np.array_equal(pixels(resized), expected)
    assert resized.intersection(of(expected)) == expected.sum()


@pytest.mark.parametrize("value", [False, True])
def test_plain_masks_stay_plain(value):
    runs = of(np.full((5, 3), value)).nearest(7, 2)
    assert runs.area == (14 if value else 0)


def test_malformed_run_lengths_are_refused():
    with pytest.raises(InputError, match="runs cover"):
        Runs.of(masks.Rle(2, 2, "13" + "4"))
