"""The shape of a target: the classes, and the same numbers as piece by piece in full, to the last bit."""

import math
from operator import itemgetter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from t2s_pipeline.vision.shape import axis, depths, reduced, ribbon, tight_window
from t2s_pipeline.vision.target_shape import (
    ELONGATED,
    ELONGATED_FROM,
    IRREGULAR,
    ONE_WAY_FROM,
    REGULAR,
    SOLID_FROM,
    THIN,
    THIN_FROM,
    pieces_of,
    shape_of,
)
from tests.vision.test_shape import MASKS, rectangle


def test_the_classes():
    assert shape_of(rectangle(20, 20)).morphology == "regular"
    assert shape_of(rectangle(8, 40)).morphology == "elongated"
    assert shape_of(rectangle(2, 40)).morphology == "thin"
    plus = np.zeros((64, 64), bool)
    # 56·20·2 − 20² pixels of a hull of 56² − 4·18²/2: a solidity of 0.75, drawn.
    plus[22:42, 4:60] = plus[4:60, 22:42] = True
    assert shape_of(plus).morphology == "irregular"
    assert shape_of(np.zeros((9, 9), bool)) is None


def test_the_slender_share_rises_from_compact_to_slender():
    assert shape_of(rectangle(20, 30)).slender_share == 0
    assert 0 < shape_of(rectangle(10, 40)).slender_share < 1
    assert shape_of(rectangle(4, 40)).slender_share == 1


def test_several_pieces_have_the_mean_of_their_measures():
    pair = rectangle(2, 40) | np.roll(rectangle(2, 40), 20, axis=0)
    assert shape_of(pair).slenderness == pytest.approx(shape_of(rectangle(2, 40)).slenderness)


def test_a_large_mask_has_the_shape_of_a_small_one():
    small = rectangle(4, 40)
    large = small.repeat(20, 0).repeat(20, 1)
    assert shape_of(large).slenderness == pytest.approx(shape_of(small).slenderness, rel=0.1)


@settings(max_examples=60, deadline=None)
@given(mask=MASKS, rows=st.integers(0, 9), columns=st.integers(0, 9))
def test_no_measure_depends_on_place_mirroring_or_transposition(mask, rows, columns):
    moved = np.pad(mask, ((rows, 9 - rows), (columns, 9 - columns)))
    pieces = pieces_of(mask)
    for same in (moved, mask[::-1], mask.T):
        other = pieces_of(np.ascontiguousarray(same))
        if pieces is None:
            assert other is None
        else:
            assert other.slenderness == pytest.approx(pieces.slenderness)
            assert other.elongation() == pytest.approx(pieces.elongation(), abs=1e-9)


def measures_in_full(mask: np.ndarray) -> tuple[float, float, float]:
    """Slenderness, elongation and solidity, each piece cut out of the mask and measured alone."""
    target = reduced(mask[tight_window(mask)])
    pixels = target.astype(np.uint8, order="C")
    labels = cv2.connectedComponents(pixels, connectivity=8)[1]
    contours, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = [contour for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] < 0]
    numbered = [(int(labels[contour[0, 0, 1], contour[0, 0, 0]]), contour) for contour in outer]
    totals = [0.0, 0.0, 0.0]
    for number, contour in sorted(numbered, key=itemgetter(0)):
        piece = labels == number
        area = int(np.count_nonzero(piece))
        long, wide = ribbon(area, float(np.cumsum(depths(piece)[piece])[-1]))
        hull = cv2.fillConvexPoly(np.zeros(piece.shape, np.uint8), cv2.convexHull(contour), (1,))
        solidity = area / max(area, int(np.count_nonzero(hull)))
        values = long / wide, math.hypot(*axis(piece)), solidity
        totals = [total + area * value for total, value in zip(totals, values, strict=True)]
    slenderness, elongation, solidity = (total / int(np.count_nonzero(target)) for total in totals)
    return slenderness, elongation, solidity


def class_in_full(slenderness: float, elongation: float, solidity: float) -> str:
    if slenderness >= THIN_FROM:
        return THIN
    if slenderness >= ELONGATED_FROM and elongation >= ONE_WAY_FROM:
        return ELONGATED
    return REGULAR if solidity >= SOLID_FROM else IRREGULAR


def require_same(mask: np.ndarray) -> str:
    pieces, shape, full = pieces_of(mask), shape_of(mask), measures_in_full(mask)
    assert (pieces.slenderness, pieces.elongation(), pieces.solidity()) == full
    assert (shape.slenderness, shape.morphology) == (full[0], class_in_full(*full))
    return shape.morphology


@settings(max_examples=300, deadline=None)
@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_specks_have_the_numbers_of_the_way_in_full(mask):
    if mask.any():
        require_same(mask)


def test_blobs_lines_and_holes_of_every_size_have_the_numbers_of_the_way_in_full():
    rng = np.random.default_rng(0)
    seen = set()
    for n in range(150):
        height, width = (int(size) for size in rng.integers(8, 700 if n % 10 == 0 else 150, 2))
        coarse = rng.random((max(1, height // int(rng.integers(2, 40))), max(1, width // int(rng.integers(2, 40)))))
        mask = cv2.resize(coarse, (width, height)) > rng.uniform(0.3, 0.9)
        for _ in range(int(rng.integers(0, 4))):
            ends = [(int(rng.integers(0, width)), int(rng.integers(0, height))) for _ in range(2)]
            line = cv2.line(np.zeros(mask.shape, np.uint8), *ends, (1,), int(rng.integers(1, 6)))
            mask = mask & (line == 0) if rng.random() < 0.3 else mask | (line > 0)
        if mask.any():
            seen.add(require_same(mask))
            seen.add(require_same(np.asfortranarray(mask)))
    for lines in (rectangle(2, 40), rectangle(8, 40), rectangle(2, 40) | np.roll(rectangle(2, 40), 20, axis=0)):
        seen.add(require_same(lines))
    assert seen == {REGULAR, ELONGATED, THIN, IRREGULAR}, "each class was compared"


@pytest.mark.parametrize("uses_ipp", [True, False])
def test_opencv_keeps_its_settings(uses_ipp):
    before = cv2.ipp.useIPP()
    try:
        cv2.ipp.setUseIPP(uses_ipp)
        was = cv2.ipp.useIPP()
        shape = shape_of(rectangle(9, 30))
        assert cv2.ipp.useIPP() == was
        assert shape.slenderness == measures_in_full(rectangle(9, 30))[0]
    finally:
        cv2.ipp.setUseIPP(before)
