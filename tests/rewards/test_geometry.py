"""The parts of the geometry-aware reward: values by hand, invariances, and how they are weighed."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from t2s_pipeline.rewards import geometry
from t2s_pipeline.rewards.geometry import (
    Measured,
    boundary,
    geometry_score,
    geometry_scores,
    length_ratio,
    orientation,
    rim,
    thin,
)
from t2s_pipeline.rewards.mask_iou import PromptGroup
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.masks import intersection_union

PARTS = (thin, orientation, length_ratio, boundary, geometry_score)
PAIRS = arrays.arrays(bool, st.tuples(st.just(2), st.integers(2, 20), st.integers(2, 20)))


def box(top: int, left: int, height: int, width: int, side: int = 100) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[top : top + height, left : left + width] = True
    return mask


ROAD = box(50, 10, 4, 60)
NOTHING = np.zeros((100, 100), bool)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_the_truth_itself_earns_one_and_an_empty_mask_nothing(part):
    assert part(Measured(ROAD), Measured(ROAD)) == pytest.approx(1)
    assert part(Measured(NOTHING), Measured(ROAD)) == 0


def test_thin_by_hand():
    # Lines of one pixel are their own skeletons. 30 of the answer's 40 pixels lie on the truth of 60.
    truth, answer = box(50, 10, 1, 60), box(50, 40, 1, 40)
    precision, sensitivity = 30 / 40, 30 / 60
    assert thin(Measured(answer), Measured(truth)) == pytest.approx(
        2 * precision * sensitivity / (precision + sensitivity)
    )
    assert thin(Measured(box(70, 10, 1, 60)), Measured(truth)) == 0


def test_orientation_by_hand():
    # The truth has the elongation 1 (one pixel wide). Across it: 1 − sin²(90°) = 0. At 45°: 1 − 1/2.
    truth = Measured(box(50, 10, 1, 60))
    assert orientation(Measured(box(10, 50, 60, 1)), truth) == pytest.approx(0)
    assert orientation(Measured(np.eye(100, dtype=bool)), truth) == pytest.approx(0.5)
    assert orientation(Measured(box(40, 40, 9, 9)), truth) == pytest.approx(0.5), "a square has no direction"
    # A truth of 3×5 has the elongation 1/2: across it 1 − 1/2.
    assert orientation(Measured(box(10, 50, 60, 1)), Measured(box(20, 20, 3, 5))) == pytest.approx(0.5)
    assert orientation(Measured(box(10, 50, 60, 1)), Measured(box(20, 20, 7, 7))) == pytest.approx(1), "round"


def test_length_by_hand():
    # Two rows wide, so lengths are exact: 30 and 60 pixels.
    truth = Measured(box(50, 10, 2, 60))
    assert length_ratio(Measured(box(50, 10, 2, 30)), truth) == pytest.approx(0.5)
    assert length_ratio(Measured(box(10, 50, 60, 2)), truth) == pytest.approx(1)


def test_boundary_by_hand():
    # 100² pixels: d = 2 % of 141.4 = 3. A block of 20² has a rim of 20² − 14².
    block = box(20, 20, 20, 20)
    assert np.count_nonzero(rim(block)) == 20**2 - 14**2
    assert boundary(Measured(box(20, 40, 20, 20)), Measured(block)) == 0
    # Moved by 17 to the right: columns 37 to 39 are shared. There the block's right side lies on the other's left side.
    assert boundary(Measured(box(20, 37, 20, 20)), Measured(block)) == pytest.approx(60 / (2 * (20**2 - 14**2) - 60))


def test_a_mask_at_the_border_of_the_image_has_a_rim_there():
    assert rim(np.ones((100, 100), bool))[:3].all()
    assert not rim(np.ones((100, 100), bool))[3:-3, 3:-3].any()


def test_compact_targets_keep_the_plain_reward():
    truth, answer = box(20, 20, 30, 30), box(25, 20, 30, 30)
    intersection, union = intersection_union(answer, truth)
    assert Measured(truth).weight == 0
    assert geometry_score(Measured(answer), Measured(truth)) == intersection / union


def test_a_slender_target_is_judged_by_all_parts():
    truth, answer = Measured(ROAD), box(52, 10, 4, 60)
    assert truth.weight == 1
    parts = [part(Measured(answer), truth) for part in (thin, orientation, length_ratio, boundary)]
    iou = 2 / 6
    assert geometry_score(Measured(answer), truth) == pytest.approx((iou + sum(parts)) / 5)
    # A bar of the wrong direction with the same overlap is worth less.
    across = box(22, 38, 60, 4)
    assert geometry_score(Measured(across), truth) < geometry_score(Measured(answer), truth)


@settings(max_examples=60, deadline=None)
@given(pair=PAIRS, rows=st.integers(0, 6), columns=st.integers(0, 6))
def test_no_part_depends_on_mirroring_or_transposition_nor_but_for_the_rim_on_place(pair, rows, columns):
    mask, truth = pair
    for part in PARTS:
        value = part(Measured(mask), Measured(truth))
        assert 0 <= value <= 1
        for turned in (lambda m: m[::-1], lambda m: m[:, ::-1], lambda m: m.T):
            same = part(Measured(np.ascontiguousarray(turned(mask))), Measured(np.ascontiguousarray(turned(truth))))
            assert same == pytest.approx(value, abs=1e-6)

    def moved(m: np.ndarray, down: int, right: int) -> np.ndarray:
        return np.pad(m, ((down, 6 - down), (right, 6 - right)))

    for part in PARTS:
        here = part(Measured(moved(mask, 0, 0)), Measured(moved(truth, 0, 0)))
        assert part(Measured(moved(mask, rows, columns)), Measured(moved(truth, rows, columns))) == pytest.approx(
            here, abs=1e-6
        )


class Drawing:
    """A segmenter whose mask of an object is its box; it counts what it has drawn."""

    def __init__(self) -> None:
        self.drawn = 0

    def decode(self, embedding, prompt_sets, source, out, multimask):
        self.drawn += len(prompt_sets)
        masks = [NOTHING.copy() for _ in prompt_sets]
        for mask, prompts in zip(masks, prompt_sets, strict=True):
            for x0, y0, x1, y1 in (item.bbox for item in prompts):
                mask[y0:y1, x0:x1] = True
        return [SimpleNamespace(mask=mask) for mask in masks]


def test_a_group_is_judged_once_per_distinct_answer_and_truths_are_kept_as_far_as_they_fit(monkeypatch):
    measured = []

    class Counted(Measured):
        def __init__(self, mask):
            super().__init__(mask)
            measured.append(mask)

    monkeypatch.setattr(geometry, "Measured", Counted)
    monkeypatch.setattr(geometry, "KEPT_PIXELS", 2 * ROAD.size)
    right, wrong = (PromptObject((10, 50, 70, 54)),), (PromptObject((0, 0, 5, 5)),)
    segmenter, judge = Drawing(), geometry_scores(lambda answer, truth: float((answer.mask == truth.mask).all()))

    def scores(key: str) -> list[float]:
        frame = Frame.square(100)
        return judge(segmenter, PromptGroup(None, [right, wrong, right], frame, ROAD, key, False))

    assert scores("a") == [1.0, 0.0, 1.0] and segmenter.drawn == 2

    def truths() -> int:
        """How often the truth was measured."""
        return sum(mask is ROAD for mask in measured)

    assert truths() == 1
    scores("a"), scores("b")
    assert truths() == 2, "the truth of a group is measured once"
    scores("c"), scores("b"), scores("c")
    assert truths() == 3, "two truths fit, and those of b and c are kept"
    scores("a")
    assert truths() == 4
