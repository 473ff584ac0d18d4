"""The measures of a mask's shape: values worked out by hand, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import distance_transform_edt

from t2s_pipeline.vision.shape import axis, depths, length, reduced, skeleton

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def rectangle(height: int, width: int, side: int = 64) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[10 : 10 + height, 10 : 10 + width] = True
    return mask


def test_the_skeleton_of_a_bar_is_its_middle_line():
    # Five rows: after two erosions by the cross one row is left, and it is two pixels shorter at both ends.
    lines = skeleton(rectangle(5, 20))
    assert np.array_equal(np.flatnonzero(lines.any(axis=1)), [12])
    assert np.array_equal(np.flatnonzero(lines[12]), range(12, 28))


def test_a_line_of_one_pixel_is_its_own_skeleton():
    line = rectangle(1, 20)
    assert np.array_equal(skeleton(line), line)


def test_depths_of_a_bar_of_four_rows():
    # From a pixel's centre to the border of the mask: 0.5, 1.5, 1.5, 0.5 in the middle of the bar.
    assert depths(rectangle(4, 30))[10:14, 25].tolist() == [0.5, 1.5, 1.5, 0.5]


def test_the_length_of_a_bar_of_two_rows():
    # Two rows of 50: every pixel is half a pixel deep, so the width is 4 · 0.5 = 2 and the length 100 / 2.
    assert length(rectangle(2, 50)) == pytest.approx(50)
    assert length(np.zeros((8, 8), bool)) == 0


def test_the_axis_of_a_bar_and_of_a_square():
    # Discrete variances of a bar of 1×n: (n² − 1) / 12 along it and 0 across, so the vector is (1, 0).
    assert axis(rectangle(1, 9)) == pytest.approx((1, 0))
    assert axis(rectangle(9, 1)) == pytest.approx((-1, 0))
    assert axis(rectangle(7, 7)) == pytest.approx((0, 0))
    # 3×5: variances (9 − 1) / 12 and (25 − 1) / 12, so (24 − 8) / (24 + 8) = 1/2.
    assert axis(rectangle(3, 5)) == pytest.approx((0.5, 0))
    assert axis(np.eye(9, dtype=bool)) == pytest.approx((0, 1))
    assert axis(np.eye(1, dtype=bool)) == (0, 0)


def test_a_large_mask_is_measured_at_a_smaller_size():
    small, large = rectangle(4, 40), rectangle(4, 40).repeat(20, 0).repeat(20, 1)
    assert length(reduced(large, 64)) == pytest.approx(length(small), rel=0.1)
    line = np.zeros((1000, 1000), bool)
    line[500, 100:900] = True
    assert reduced(line).shape == (250, 250)
    assert np.count_nonzero(reduced(line)) == 200, "a thin line stays whole"


@settings(max_examples=60, deadline=None)
@given(mask=MASKS, rows=st.integers(0, 9), columns=st.integers(0, 9))
def test_no_measure_depends_on_place_mirroring_or_transposition(mask, rows, columns):
    moved = np.pad(mask, ((rows, 9 - rows), (columns, 9 - columns)))
    for same, turned in ((moved, lambda m: m), (mask[::-1], lambda m: m[::-1]), (mask.T, lambda m: m.T)):
        lines = turned(skeleton(mask))
        assert np.count_nonzero(skeleton(same)) == np.count_nonzero(lines)
        assert length(same) == pytest.approx(length(mask))
        assert math.hypot(*axis(same)) == pytest.approx(math.hypot(*axis(mask)), abs=1e-9)
    assert np.array_equal(skeleton(mask[::-1]), skeleton(mask)[::-1])
    assert np.array_equal(skeleton(mask.T), skeleton(mask).T)


@settings(max_examples=60, deadline=None)
@given(mask=MASKS)
def test_the_skeleton_lies_in_the_mask_and_is_empty_only_with_it(mask):
    lines = skeleton(mask)
    assert not (lines & ~mask).any()
    assert lines.any() == mask.any()


@given(mask=MASKS)
def test_depths_are_exact_to_the_last_bit(mask):
    # The background beyond the image counts, so the image gets a rim. SciPy computes in float64.
    exact = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    assert np.array_equal(depths(mask), exact - 0.5 * mask)
