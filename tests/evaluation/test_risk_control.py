"""Conformal risk control: by hand, its guarantee, and its limits."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.evaluation.risk_control import NOTHING, joined, threshold_for


def test_by_hand():
    # Four answers. From agreement 0.9 on: loss 0.1, so (0.1 + 1) / 5 = 0.22. From 0.6 on: 0.1 + 0.4, so 1.5 / 5 = 0.3.
    # From 0.4 on: + 0.8, (1.3 + 1) / 5 = 0.46.
    agreement, iou = np.array([0.9, 0.6, 0.4, 0.1]), np.array([0.9, 0.6, 0.2, 0.0])
    chosen = threshold_for(agreement, iou, 0.3)
    assert (chosen.threshold, chosen.answered) == (0.6, 2)
    assert chosen.risk == pytest.approx(0.5 / 4)
    assert threshold_for(agreement, iou, 0.25).threshold == 0.9
    assert threshold_for(agreement, iou, 0.99).threshold == 0.1
    # Not even one answer: (0 + 1) / 5 = 0.2.
    assert threshold_for(agreement, iou, 0.2).threshold == NOTHING


def test_too_few_answers_and_impossible_risks_are_named():
    with pytest.raises(InputError, match="at least 4"):
        threshold_for(np.array([1.0, 1.0]), np.array([1.0, 1.0]), 0.2)
    with pytest.raises(InputError, match="between 0 and 1"):
        threshold_for(np.array([1.0]), np.array([1.0]), 1.0)
    with pytest.raises(InputError, match="no answers"):
        threshold_for(np.array([]), np.array([]), 0.5)


@settings(max_examples=50, deadline=None)
@given(
    answers=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=20, max_size=60),
    wanted=st.sampled_from([0.1, 0.2, 0.3, 0.5]),
)
def test_the_risk_on_the_calibration_split_is_below_the_wanted_one_and_falls_with_it(answers, wanted):
    agreement, iou = np.array(answers).T
    chosen = threshold_for(agreement, iou, wanted)
    assert chosen.risk <= wanted + 1e-9
    assert chosen.answered == np.count_nonzero(agreement >= chosen.threshold)
    assert threshold_for(agreement, iou, wanted + 0.1).threshold <= chosen.threshold


def test_the_expected_risk_on_new_answers_is_kept():
    """2,000 times a threshold of 50 answers, tried on one new answer: the mean loss is at most the wanted risk."""
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(2000):
        agreement = rng.random(51)
        iou = np.clip(agreement + rng.normal(0, 0.3, 51), 0, 1)
        chosen = threshold_for(agreement[:50], iou[:50], 0.2)
        losses.append(1 - iou[50] if agreement[50] >= chosen.threshold else 0.0)
    # Three standard errors of the mean; and the bound is not met by never answering.
    assert 0.14 < np.mean(losses) <= 0.2 + 3 * np.std(losses) / np.sqrt(2000)


def test_only_questions_with_agreement_and_a_score_count():
    agreement = pa.table({"sample_id": ["b", "a", "c"], "question_index": [0, 0, 1], "agreement": [0.5, 0.75, 1.0]})
    scores = pa.table({"sample_id": ["a", "b", "c"], "question_index": [0, 0, 0], "iou": [0.25, 1.0, 0.0]})
    agreements, ious = joined(agreement, scores)
    assert (agreements.tolist(), ious.tolist()) == ([0.75, 0.5], [0.25, 1.0])
