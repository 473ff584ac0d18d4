"""Each labelling worked by hand, and what holds of every label of every mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.label import EXACT_SIDE, Label, edge_distance, on_square, tight_box
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS, labelling, parameters
from t2s_pipeline.pseudo_labels.remote_reasoner import RemoteReasonerLabels
from t2s_pipeline.pseudo_labels.seg_zero import SegZeroLabels
from t2s_pipeline.pseudo_labels.vision_reasoner import VisionReasonerLabels
from tests.pseudo_labels.masks_to_cluster import masks_to_cluster


def image(width: int, height: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of filled boxes, both corners included."""
    mask = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def test_seg_zero_by_hand():
    """A rectangle of 7 × 5 at (2, 2) to (8, 6) in an image of 12 × 9, on a square of 36: x grows by 3, y by 4.

    Farthest from the edge: 3 pixels, at (4, 4), (5, 4), (6, 4); the first in row order is (4, 4). Squared distances
    from it, with how often they occur: 0 once, 1 and 2 and 4 four times each, 5 eight times: 21 of 35 pixels, so the
    median (the 18th) is 5. Of those farther, (7, 3), (7, 4), (7, 5) lie 2 from the edge, the others 1; the first in
    row order is (7, 3). The box is (2·3, 2·4, 8·3, 6·4).
    """
    mask = image(12, 9, (2, 2, 8, 6))
    assert SegZeroLabels(side=36).label(mask) == [Label((6, 8, 24, 24), ((12, 16), (21, 12)), area=21 * 20)]


def test_seg_zero_rounds_half_up_and_brings_a_point_back_onto_the_mask():
    """A line at x = 3 of 10, on a square of 5, which shows the columns 1, 3, 5, 7, 9: the line is its column 1.

    ⌊3 · 5 / 10 + 0.5⌋ = 2, beside the line; the nearest pixel of the line is in column 1. Every pixel of the line is 1
    from its edge, so the first point is its first, (3, 0) → row 0. The median distance from there, of 0 to 9, is 4.5;
    the first pixel farther is (3, 5) → row ⌊5 · 5 / 10 + 0.5⌋ = 3.
    """
    [label] = SegZeroLabels(side=5).label(image(10, 10, (3, 0, 3, 9)))
    assert label.points == ((1, 0), (1, 3))
    assert label.bbox == (2, 0, 2, 4)  # ⌊9 · 5 / 10 + 0.5⌋ = 5 is beyond the last pixel, 4


def test_seg_zero_takes_all_parts_as_one():
    [label] = SegZeroLabels(side=20).label(image(20, 20, (1, 1, 3, 3), (15, 12, 18, 17)))
    assert label.bbox == (1, 1, 18, 17)
    assert label.area == 9 + 24


def test_one_pixel_has_both_points_on_it():
    [label] = SegZeroLabels(side=9).label(image(9, 9, (4, 6, 4, 6)))
    assert label == Label((4, 6, 4, 6), ((4, 6), (4, 6)), 1)


def test_vision_reasoner_by_hand():
    """Two blobs 6 apart are two clusters at eps 5, and a pixel far from both is noise.

    The left one, 5 × 5, is farthest from its edge (3) in its middle, (4, 4). The right one, 4 × 3 from (12, 2) to
    (15, 4), has two pixels 2 from the edge, (13, 3) and (14, 3): the first is taken.
    """
    mask = image(40, 40, (2, 2, 6, 6), (12, 2, 15, 4), (35, 35, 35, 35))
    assert VisionReasonerLabels(side=40).label(mask) == [
        Label((2, 2, 6, 6), ((4, 4),), 25),
        Label((12, 2, 15, 4), ((13, 3),), 12),
    ]


def test_vision_reasoner_takes_blobs_within_eps_as_one():
    # From x = 6 to x = 11 it is 5.
    [label] = VisionReasonerLabels(side=40).label(image(40, 40, (2, 2, 6, 6), (11, 2, 14, 4)))
    assert label.bbox == (2, 2, 14, 6)


def test_remote_reasoner_by_hand():
    """Regions that touch at a corner are one; 0.05 % of 100 × 100 are 5 pixels, so 4 are a speck and 5 are not."""
    mask = image(100, 100, (10, 10, 12, 12), (13, 13, 14, 14), (50, 20, 54, 20), (80, 80, 83, 80))
    assert RemoteReasonerLabels(side=100).label(mask) == [
        Label((10, 10, 14, 14), (), 9 + 4),
        Label((50, 20, 54, 20), (), 5),
    ]


def test_remote_reasoner_keeps_the_largest_speck_where_there_are_only_specks():
    [label] = RemoteReasonerLabels(side=100).label(image(100, 100, (10, 10, 10, 10), (50, 20, 52, 20)))
    assert label.bbox == (50, 20, 52, 20)


def test_a_mask_that_fills_the_image_has_its_edge_at_the_images():
    [label] = VisionReasonerLabels(side=9).label(np.ones((9, 9), bool))
    assert label == Label((0, 0, 8, 8), ((4, 4),), 81)
    # But a border of the image that a smaller mask touches is no edge: the target may go on beyond it.
    assert edge_distance(image(9, 9, (0, 0, 8, 3)))[0, 4] == 4**2


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, EXACT_SIDE + 40), st.integers(2, EXACT_SIDE + 40))
def test_edge_distances_are_exact_on_either_side_of_the_size_where_the_method_changes(seed, height, width):
    rng = np.random.default_rng(seed)
    mask = np.ones((height, width), bool)
    holes = rng.integers(1, 40)
    mask[rng.integers(0, height, holes), rng.integers(0, width, holes)] = False
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    expected = ((nearest - np.indices(mask.shape)) ** 2).sum(axis=0)
    np.testing.assert_array_equal(edge_distance(mask), expected)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_remote_reasoners_regions_are_scipys_in_the_order_of_their_first_pixels(mask):
    side = 14
    numbers, count = ndimage.label(on_square(mask, side), np.ones((3, 3)))
    # Below a share of one pixel nothing is a speck.
    remote = RemoteReasonerLabels(side=side, least_share=0)
    firsts = [int(np.flatnonzero(numbers == number + 1)[0]) for number in range(count)]
    order = sorted(range(1, count + 1), key=lambda number: firsts[number - 1])
    regions = [numbers == number for number in order]
    np.testing.assert_array_equal(remote.instances(mask), regions or np.zeros((0,)))
    expected = [Label(tight_box(region), (), int(region.sum())) for region in regions]
    assert remote.label(mask) == expected


@pytest.mark.parametrize("name", LABELLINGS)
def test_an_empty_mask_has_no_label(name: str):
    assert LABELLINGS[name].label(np.zeros((30, 40), bool)) == []


def holds_of(mask: np.ndarray, name: str, side: int) -> None:
    chosen = labelling(name, [f"side={side}"])
    square = on_square(mask, side)
    for label in chosen.label(mask):
        for x, y in label.points:
            assert square[y, x], "a point off the mask"
            if name != "seg-zero":  # whose points may be moved after its box was scaled
                assert label.bbox[0] <= x <= label.bbox[2] and label.bbox[1] <= y <= label.bbox[3]
        x0, y0, x1, y1 = label.bbox
        assert 0 <= x0 <= x1 < side and 0 <= y0 <= y1 < side
        if name != "seg-zero":
            part = square[y0 : y1 + 1, x0 : x1 + 1]
            assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any(), "the box is not tight"
            assert label.area <= np.count_nonzero(part)


@settings(max_examples=120, deadline=None)
@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))),
    st.sampled_from(list(LABELLINGS)),
    st.integers(1, 60),
)
def test_points_lie_on_the_mask_and_boxes_are_tight(mask: np.ndarray, name: str, side: int):
    holds_of(mask, name, side)


@pytest.mark.parametrize("name", LABELLINGS)
def test_the_same_of_hard_masks_larger_and_smaller_than_the_square(name: str):
    for mask in masks_to_cluster(side=60).values():
        for side in (25, 60, 168):
            holds_of(mask, name, side)


def test_a_target_is_lost_only_where_the_square_does_not_show_it():
    mask = image(40, 40, (20, 20, 20, 20))  # a square of 10 shows the pixels 2, 6, …, 38
    assert [LABELLINGS[name].label(mask) != [] for name in ("seg-zero", "remote-reasoner")] == [True, True]
    assert all(labelling(name, ["side=10"]).label(mask) == [] for name in LABELLINGS)


def test_settings_are_recorded_and_checked():
    assert '"eps": 7.0' in parameters(labelling("vision-reasoner", ["eps=7"]))
    for name, override in (
        ("vision-reasoner", "eps=0"),
        ("vision-reasoner", "min_samples=0"),
        ("vision-reasoner", "colour=1"),
        ("remote-reasoner", "least_share=2"),
        ("seg-zero", "side"),
        ("seg-one", "side=3"),
    ):
        with pytest.raises(InputError):
            labelling(name, [override])
