"""Prompts drawn from masks are where they say they are."""

import numpy as np
import pytest

from t2s_pipeline.miniature.segmenter_prompts import (
    BOX_JITTER,
    PromptKind,
    around,
    degrade,
    grown,
    inner,
    points_in,
    poor_prompt,
    scaled,
    shifted,
    tight_box,
    training_kind,
    training_prompt,
)

DISC = (np.mgrid[:60, :80][0] - 30) ** 2 + (np.mgrid[:60, :80][1] - 20) ** 2 < 100
SQUARE = np.zeros((60, 80), dtype=bool)
SQUARE[40:50, 60:75] = True


def lies_in(mask: np.ndarray, point: tuple[float, float]) -> bool:
    return bool(mask[int(point[1]), int(point[0])])


def test_a_tight_box_ends_on_the_last_pixel_inside():
    assert tight_box(SQUARE) == (60, 40, 74, 49)


def test_inner_loses_the_rim_and_never_everything():
    assert inner(SQUARE).sum() == 8 * 13
    dot = np.zeros((5, 5), dtype=bool)
    dot[2, 2] = True
    assert (inner(dot) == dot).all()


def test_points_lie_in_the_mask_even_if_there_are_more_points_than_pixels():
    rng = np.random.default_rng(0)
    assert all(lies_in(DISC, point) for point in points_in(DISC, 50, rng))
    dot = np.zeros((5, 9), dtype=bool)
    dot[2, 7] = True
    assert points_in(dot, 3, rng) == ((7, 2),) * 3


@pytest.mark.parametrize("seed", range(20))
def test_training_prompts_are_good_prompts(seed):
    rng = np.random.default_rng(seed)
    kind = training_kind(rng)
    masks = [DISC, SQUARE] if kind.several else [DISC]
    union = np.logical_or.reduce(masks)
    item = training_prompt(masks, kind, rng)
    assert (item.bbox is not None) == kind.box
    assert len(item.positive_points) == kind.positive and len(item.negative_points) == kind.negative
    assert all(lies_in(union, point) for point in item.positive_points)
    assert not any(lies_in(union, point) for point in item.negative_points)
    if kind.several:
        assert all(any(lies_in(mask, point) for point in item.positive_points) for mask in masks)
    if item.bbox:
        x0, y0, x1, y1 = tight_box(union)
        slack = [BOX_JITTER * (x1 - x0 + 1) + 1, BOX_JITTER * (y1 - y0 + 1) + 1] * 2
        assert all(abs(a - b) <= s for a, b, s in zip(item.bbox, (x0, y0, x1, y1), slack, strict=True))


def test_the_first_steps_always_show_a_box():
    rng = np.random.default_rng(0)
    kinds = [training_kind(rng, boxes_only=True) for _ in range(50)]
    assert all(kind.box and not kind.several for kind in kinds)
    assert {kind.positive for kind in kinds} == {0, 2}
    assert PromptKind(box=False, positive=2) in {training_kind(rng) for _ in range(200)}


def test_scaling_keeps_the_centre_and_shifting_the_size():
    assert scaled((10, 20, 30, 60), 1.5) == (5, 10, 35, 70)
    moved = shifted((10, 20, 30, 60), 0.25, np.random.default_rng(0))
    assert (moved[2] - moved[0], moved[3] - moved[1]) == (20, 40)
    assert abs(moved[0] - 10) == 5 and abs(moved[1] - 20) == 10


def test_degraded_prompts_are_off_where_they_claim_to_be():
    prompts = degrade(DISC, np.random.default_rng(1))
    assert not any(lies_in(DISC, p) for p in prompts["box + 2 points off the object"].positive_points)
    assert all(lies_in(DISC, p) for p in prompts["box × 1.6 + 2 points"].positive_points)
    assert prompts["2 points"].bbox is None
    assert around(SQUARE, 1.0).sum() == SQUARE.sum()


def test_growing_keeps_the_centre_and_scales_both_sides():
    x0, y0, x1, y1 = tight_box(grown(DISC, 1.5))
    assert abs((x0 + x1) / 2 - 20) <= 0.5 and abs((y0 + y1) / 2 - 30) <= 0.5
    assert abs((x1 - x0) / 18 - 1.5) < 0.1 and abs((y1 - y0) / 18 - 1.5) < 0.1
    assert (grown(DISC, 1.0) == DISC).all()


@pytest.mark.parametrize("seed", range(40))
def test_a_poor_prompt_is_answered_literally(seed):
    """The target follows the wrong box or the wrong point, so it differs from the object as they do."""
    rng = np.random.default_rng(seed)
    before = DISC.copy()
    item, target = poor_prompt(DISC, PromptKind(box=True, positive=2, poor=True), rng)
    assert (before == DISC).all(), "the scene's own mask was changed"
    wrong = [point for point in item.positive_points if not lies_in(DISC, point)]
    if wrong:
        assert item.bbox == tight_box(DISC)
        assert target[DISC].all() and all(lies_in(target, point) for point in wrong)
        return
    x0, y0, x1, y1 = tight_box(target)
    assert x0 >= item.bbox[0] - 1 and y0 >= item.bbox[1] - 1
    assert x1 <= item.bbox[2] + 1 and y1 <= item.bbox[3] + 1
    factor = (item.bbox[2] - item.bbox[0]) / 18
    assert 0.59 <= factor <= 1.91
    if factor < 0.85:
        assert target.sum() < DISC.sum()


def test_poor_prompts_come_in_the_share_asked_for():
    rng = np.random.default_rng(0)
    kinds = [training_kind(rng, poor_share=0.5) for _ in range(600)]
    with_box = [kind for kind in kinds if kind.box and not kind.several]
    assert 0.4 < np.mean([kind.poor for kind in with_box]) < 0.6
    assert not any(kind.poor for kind in kinds if kind.several or not kind.box)
    assert not any(training_kind(rng).poor for _ in range(200))
