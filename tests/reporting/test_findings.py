"""The words follow from the numbers, also when the numbers disappoint."""

import pytest

from t2s_pipeline.reporting.findings import OUTCOMES, Difference, compare, outcome, signed, tally


def difference(value: float, low: float, high: float, n: int = 200) -> Difference:
    return Difference("trained", "base", "synthetic", "test", "strict", n, value, low, high)


@pytest.mark.parametrize(
    ("value", "low", "high", "tone", "sentence"),
    [
        (14.2, 11.0, 17.3, "better", "trained is better than base by 14.2 points gIoU."),
        (-3.06, -5.0, -1.1, "worse", "trained is worse than base by 3.1 points gIoU."),
        (2.0, -0.4, 4.1, "unclear", "No certain difference between trained and base: +2.0 points gIoU."),
        (-2.0, -4.4, 0.0, "unclear", "No certain difference between trained and base: −2.0 points gIoU."),
        (9.0, 0.0, 18.0, "unclear", "No certain difference between trained and base: +9.0 points gIoU."),
    ],
)
def test_only_an_interval_clear_of_zero_names_a_winner(value, low, high, tone, sentence):
    finding = compare(difference(value, low, high))
    assert (finding.tone, finding.sentence) == (tone, sentence)


def test_the_basis_names_interval_size_split_and_protocol():
    basis = compare(difference(14.2, -1.04, 17.3, n=1928)).basis
    assert basis.startswith("95 % interval −1.0 to +17.3 points, 1,928 samples of synthetic test, strict protocol")


def test_few_samples_are_called_few():
    assert "So few samples" in compare(difference(40, 30, 50, n=4)).basis
    assert "So few samples" not in compare(difference(40, 30, 50, n=200)).basis


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0"), (-0.04, "0.0"), (-0.06, "−0.1"), (3, "+3.0")])
def test_signed(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("status", "gt_empty", "pred_empty", "iou", "key"),
    [
        ("ok", False, False, 0.51, "found"),
        ("ok", False, False, 0.5, "partial"),
        ("ok", False, False, 0.0, "missed"),
        ("rejected", True, True, 1.0, "declined"),
        ("empty_mask", True, True, 1.0, "declined"),
        ("empty_mask", True, True, 0.0, "false_alarm"),  # as the reference protocol counts it
        ("ok", True, False, 0.0, "false_alarm"),
        ("rejected", False, True, 0.0, "silent"),
        ("empty_mask", False, True, 0.0, "empty_mask"),
        ("format_error", True, True, 1.0, "format_error"),
        ("error", False, True, 0.0, "error"),
    ],
)
def test_every_answer_ends_in_one_way(status, gt_empty, pred_empty, iou, key):
    assert outcome(status, gt_empty, pred_empty, iou) == key
    assert key in {item.key for item in OUTCOMES}


def test_tally_loses_nobody():
    rows = [
        {"status": "ok", "gt_empty": False, "pred_empty": False, "iou": 0.9},
        {"status": "ok", "gt_empty": True, "pred_empty": False, "iou": 0.0},
        {"status": "ok", "gt_empty": True, "pred_empty": False, "iou": 0.0},
    ]
    assert {item.key: count for item, count in tally(rows) if count} == {"found": 1, "false_alarm": 2}
