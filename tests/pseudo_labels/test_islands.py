"""The islands of a mask are all of it and lie apart. What is computed island by island is what the whole mask gives."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from t2s_pipeline.pseudo_labels.islands import APART, Islands, Packed
from t2s_pipeline.pseudo_labels.label import edge_distance
from t2s_pipeline.pseudo_labels.seg_zero import interior_points
from tests.pseudo_labels.masks_to_cluster import masks_to_cluster


@st.composite
def scattered(draw) -> np.ndarray:
    """Rectangles anywhere in an image, many of them at its borders, with holes."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 6))):
        y, x = rng.integers(-6, height), rng.integers(-6, width)
        mask[max(0, y) : y + rng.integers(1, 30), max(0, x) : x + rng.integers(1, 30)] = True
    return mask & (rng.random(mask.shape) >= draw(st.sampled_from([0.0, 0.02, 0.3, 0.97])))


@settings(max_examples=80, deadline=None)
@given(scattered())
def test_islands_are_the_mask_and_lie_apart(mask):
    found = Islands.of(mask)
    numbers = np.zeros(mask.shape, int)
    for index in range(found.areas.size):
        island = found.island(index)
        assert island.mask[0].any() and island.mask[-1].any() and island.mask[:, 0].any() and island.mask[:, -1].any()
        assert np.count_nonzero(island.mask) == found.areas[index]
        assert not numbers[island.rows, island.columns][island.mask].any()
        numbers[island.rows, island.columns][island.mask] = index + 1
    np.testing.assert_array_equal(numbers > 0, mask)
    # Around each island there is nothing of another one.
    for index in range(1, found.areas.size + 1):
        around = ndimage.binary_dilation(numbers == index, np.ones((2 * APART + 1,) * 2))
        assert set(np.unique(numbers[around])) <= {0, index}


@settings(max_examples=80, deadline=None)
@given(scattered(), st.sampled_from([1, 5, APART, APART + 1]), st.integers(1, 6))
def test_packed_islands_hold_the_same_pixels(mask, apart, least):
    mask[0, 0] = True
    packed = Packed.of(mask, apart, least)
    assume(packed.islands)
    _, origins = packed.origins(np.flatnonzero(packed.mask))
    restored = np.zeros(mask.size, bool)
    restored[origins] = True
    assert np.unique(origins).size == np.count_nonzero(packed.mask), "two pixels of one place"
    left_out = mask & ~restored.reshape(mask.shape)
    assert not (restored.reshape(mask.shape) & ~mask).any()
    numbers, count = ndimage.label(left_out, np.ones((3, 3)))
    assert all((numbers == number).sum() < least for number in range(1, count + 1))
    for edge in (packed.mask[:apart], packed.mask[-apart:], packed.mask[:, :apart], packed.mask[:, -apart:]):
        assert not edge.any()


def plain_interior_points(mask: np.ndarray, count: int) -> tuple[tuple[int, int], ...]:
    """Seg-Zero's rule over all pixels of the mask."""
    ys, xs = np.nonzero(mask)
    depth = edge_distance(np.ascontiguousarray(mask))[ys, xs]
    indices = [int(depth.argmax())]
    apart = np.full(depth.size, np.iinfo(np.int64).max)
    while len(indices) < count:
        apart = np.minimum(apart, (xs - xs[indices[-1]]) ** 2 + (ys - ys[indices[-1]]) ** 2)
        far = apart > np.sort(apart)[(depth.size - 1) // 2]
        indices.append(int(np.where(far, depth, 0).argmax()) if far.any() else indices[0])
    return tuple((int(xs[index]), int(ys[index])) for index in indices)


@settings(max_examples=100, deadline=None)
@given(scattered(), st.integers(1, 4))
def test_interior_points_are_those_of_the_rule_over_all_pixels(mask, count):
    mask[-1, -1] = True
    assert interior_points(mask, count) == plain_interior_points(mask, count)


def test_an_island_from_border_to_border_is_as_deep_as_its_other_axis_allows():
    """Four rows high: the first is 40 columns wide, the second 100. So the deepest pixel is 50 columns from an edge."""
    mask = np.zeros((4, 300), bool)
    mask[:, 20:60] = mask[:, 100:200] = True
    assert interior_points(mask, 1) == ((149, 0),)


def test_distances_across_a_very_wide_image_do_not_wrap_around():
    """60,000² needs more than 31 bits.

    The median of 49 pixels here and 9 there is the squared distance 9. Farther pixels of the near island touch its
    edge, so the middle of the far one is next. With negative distances the median would be 5, and the next point a
    corner of the near island's inner square.
    """
    mask = np.zeros((9, 60_000), bool)
    mask[1:8, 10:17] = mask[3:6, 59_980:59_983] = True
    assert interior_points(mask, 2) == ((13, 4), (59_981, 4))


@pytest.mark.parametrize("name", [name for name, mask in masks_to_cluster().items() if mask.any()])
def test_interior_points_of_hard_masks(name):
    mask = masks_to_cluster(side=250)[name]
    for part in (mask, mask[:, 100:], mask[30:90]):
        if part.any():
            assert interior_points(part, 3) == plain_interior_points(part, 3)
