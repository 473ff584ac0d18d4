"""Golden cases of both protocols, each worked out by hand beside the assertion."""

import numpy as np
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.question_choice import question_order
from t2s_pipeline.evaluation.score import (
    COLUMNS_OF_QUESTIONS,
    COLUMNS_OF_SAMPLES,
    columns_of_answers,
    score_batches,
    score_predictions,
)
from t2s_pipeline.vision import masks
from tests.evaluation.tables import prediction, predictions, rectangle, samples

EMPTY = np.zeros((4, 4), bool)
TOP = rectangle(4, 4, slice(0, 2), slice(0, 4))  # 8 of 16 pixels
LEFT = rectangle(4, 4, slice(0, 4), slice(0, 2))  # 8 pixels, 4 of them in TOP
CORNER = rectangle(4, 4, slice(0, 2), slice(0, 2))  # 4 pixels, all in TOP


def score_one(truth, row, protocol):
    """The one row of scores, as a dict."""
    return score_predictions(samples(a=truth), predictions(row), protocol).to_pylist()[0]


def counts(row):
    return row["intersection"], row["union"], row["iou"], row["hit"]


@pytest.mark.parametrize("protocol", ["strict", "reference"])
def test_overlapping_masks_score_intersection_over_union(protocol):
    row = score_one(TOP, prediction("a", LEFT), protocol)
    # 4 shared pixels of 8 + 8 - 4 = 12
    assert counts(row) == (4, 12, 4 / 12, False)
    assert (row["gt_empty"], row["pred_empty"], row["status"]) == (False, False, "ok")
    assert row["image_id"] == "image of a"


@pytest.mark.parametrize("protocol", ["strict", "reference"])
def test_correct_rejection_is_an_iou_of_1_and_a_hit_and_adds_nothing_to_ciou(protocol):
    row = score_one(EMPTY, prediction("a", EMPTY, "rejected"), protocol)
    assert counts(row) == (0, 0, 1.0, True)
    assert row["gt_empty"] and row["pred_empty"]


@pytest.mark.parametrize(("protocol", "union"), [("strict", 8), ("reference", 0)])
def test_false_alarm_enters_the_union_under_strict_only(protocol, union):
    assert counts(score_one(EMPTY, prediction("a", TOP), protocol)) == (0, union, 0.0, False)


# The status of an answer without a target pixel → whether the reference protocol counts it for P@0.5 on a target.
COUNTED = {"format_error": False, "rejected": False, "empty_mask": True, "error": False}


@pytest.mark.parametrize("protocol", ["strict", "reference"])
@pytest.mark.parametrize("status", COUNTED)
@pytest.mark.parametrize("mask", [None, EMPTY])
def test_failed_or_empty_answer_on_a_target_adds_the_truth_to_the_union(protocol, status, mask):
    row = score_one(TOP, prediction("a", mask, status), protocol)
    hit = False if protocol == "strict" or COUNTED[status] else None
    assert counts(row) == (0, 8, 0.0, hit)
    assert row["pred_empty"] and row["status"] == status


@pytest.mark.parametrize(
    ("status", "strict", "reference"),
    [
        # Prompts of which the segmenter makes nothing: the mask is empty, and the answer does not say "no target".
        ("empty_mask", (1.0, True), (0.0, False)),
        ("format_error", (0.0, False), (0.0, None)),
        # The authors ask no segmenter about an empty target, so nothing can fail there: it is a list of prompts.
        ("error", (0.0, False), (0.0, False)),
    ],
)
def test_an_empty_target_is_answered_rightly_by_an_empty_mask_or_by_an_empty_list(status, strict, reference):
    for protocol, expected in (("strict", strict), ("reference", reference)):
        row = score_one(EMPTY, prediction("a", None, status), protocol)
        assert (row["iou"], row["hit"]) == expected


@pytest.mark.parametrize(("protocol", "hit"), [("strict", False), ("reference", True)])
def test_an_iou_of_exactly_a_half_hits_under_reference_only(protocol, hit):
    # 4 shared pixels of 8
    assert counts(score_one(TOP, prediction("a", CORNER), protocol)) == (4, 8, 0.5, hit)


def test_an_answer_that_only_the_laxer_parser_reads_counts_under_reference_alone():
    row = {**prediction("a", None, "format_error"), "square_status": "ok", "square_mask": masks.encode(TOP).as_arrow()}
    assert counts(score_one(TOP, row, "strict")) == (0, 8, 0.0, False)
    scored = score_one(TOP, row, "reference")
    assert (*counts(scored), scored["status"]) == (8, 8, 1.0, True, "ok")
    said = {**prediction("a", None, "format_error"), "square_status": "rejected"}
    assert score_one(EMPTY, said, "strict")["iou"] == 0.0
    assert score_one(EMPTY, said, "reference")["iou"] == 1.0


def test_strict_scores_at_native_size_and_reference_at_the_square():
    truth = rectangle(2, 8, slice(0, 2), slice(0, 6))  # 12 of 16 pixels, 2 high and 8 wide
    native = rectangle(2, 8, slice(0, 2), slice(0, 4))  # 8 pixels
    square = rectangle(4, 4, slice(0, 4), slice(0, 1))  # 4 pixels, deliberately not what native would give
    row = prediction("a", native, square=square)
    assert counts(score_one(truth, row, "strict")) == (8, 12, 8 / 12, True)
    # Truth at 4×4 by nearest neighbour: columns centred at 1, 3, 5, 7 of 8, so three of four: 12 pixels
    assert counts(score_one(truth, row, "reference")) == (4, 12, 4 / 12, False)


def test_a_target_too_small_for_the_square_is_a_target_under_strict_alone():
    speck = rectangle(64, 64, slice(0, 1), slice(0, 1))
    drawn = rectangle(4, 4, slice(0, 1), slice(0, 1))
    silent = prediction("a", np.zeros((64, 64), bool), "rejected")
    found = prediction("a", speck, square=drawn)
    strict, reference = score_one(speck, silent, "strict"), score_one(speck, silent, "reference")
    assert (strict["gt_empty"], *counts(strict)) == (False, 0, 1, 0.0, False)
    assert (reference["gt_empty"], *counts(reference)) == (True, 0, 0, 1.0, True)
    strict, reference = score_one(speck, found, "strict"), score_one(speck, found, "reference")
    assert (strict["gt_empty"], *counts(strict)) == (False, 1, 1, 1.0, True)
    assert (reference["gt_empty"], *counts(reference)) == (True, 0, 0, 0.0, False)


@pytest.mark.parametrize("protocol", ["strict", "reference"])
def test_a_mask_of_another_size_is_refused_by_name_and_sizes(protocol):
    wrong = rectangle(3, 5, slice(0, 1), slice(0, 1))
    with pytest.raises(InputError, match=r"sample a, question 0, is 3×5 .* is 4×4"):
        score_one(TOP, prediction("a", wrong, square=wrong), protocol)


def test_strict_scores_every_question_and_reference_the_first_answered_of_the_frozen_order():
    split = samples(a=(TOP, 4))
    rows = [prediction("a", TOP, question_index=index) for index in range(4)]
    order = question_order("a", range(4))
    assert sorted(order) == [0, 1, 2, 3]

    def asked(given, protocol):
        return score_predictions(split, predictions(*given), protocol)["question_index"].to_pylist()

    assert asked(rows, "strict") == [0, 1, 2, 3]
    assert asked(rows, "reference") == [order[0]]
    without_the_choice = [row for row in rows if row["question_index"] != order[0]]
    assert asked(without_the_choice, "reference") == [order[1]]


@pytest.mark.parametrize("protocol", ["strict", "reference"])
def test_a_sample_without_prediction_is_scored_as_missing(protocol):
    scored = score_predictions(samples(a=TOP, b=TOP, c=EMPTY), predictions(prediction("a", TOP)), protocol)
    rows = {row["sample_id"]: row for row in scored.to_pylist()}
    assert (rows["b"]["status"], rows["b"]["iou"], rows["b"]["union"]) == ("missing", 0.0, 8)
    assert (rows["c"]["status"], rows["c"]["iou"]) == ("missing", 0.0)


def test_predictions_of_another_split_are_refused():
    with pytest.raises(InputError, match=r"1 predicted samples are not in the split \(first: z\)"):
        score_predictions(samples(a=TOP), predictions(prediction("z", TOP)), "strict")


def test_an_answer_given_twice_is_refused():
    with pytest.raises(InputError, match="answered twice"):
        score_predictions(samples(a=TOP), predictions(prediction("a", TOP), prediction("a", LEFT)), "strict")


def test_a_question_the_sample_does_not_have_is_refused():
    with pytest.raises(InputError, match="no question 7"):
        score_predictions(samples(a=TOP), predictions(prediction("a", TOP, question_index=7)), "strict")


def test_malformed_run_lengths_are_refused_before_they_are_decoded():
    row = prediction("a", TOP)
    row["mask"]["counts"] += "4"
    with pytest.raises(InputError, match="runs cover"):
        score_predictions(samples(a=TOP), predictions(row), "strict")


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="strict, reference"):
        score_predictions(samples(a=TOP), predictions(prediction("a", TOP)), "lenient")


def test_an_ok_prediction_without_its_mask_is_refused():
    with pytest.raises(InputError, match="is ok but has no square_mask"):
        row = {**prediction("a", TOP), "square_mask": None}
        score_predictions(samples(a=TOP), predictions(row), "reference")


def test_rows_come_sorted_whatever_order_the_predictions_have():
    split = samples(b=TOP, a=(TOP, 2))
    rows = [prediction("b", TOP), prediction("a", TOP, question_index=1), prediction("a", TOP)]
    scored = score_predictions(split, predictions(*rows), "strict")
    assert list(zip(scored["sample_id"].to_pylist(), scored["question_index"].to_pylist(), strict=True)) == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
    ]


BATCHED_TRUTHS = {"a": (TOP, 2), "b": LEFT, "c": EMPTY, "d": CORNER}
BATCHED = (
    prediction("a", LEFT),
    prediction("a", TOP, question_index=1),
    prediction("b", None, "format_error"),
    prediction("c", CORNER),
)


def in_batches(protocol, rows, answered=None, size=2):
    """The scores of predictions whose masks are read in batches of ``size`` rows."""
    table = predictions(*rows).select(columns_of_answers(protocol))
    split = samples(**BATCHED_TRUTHS)
    asked = predictions(*(rows if answered is None else answered)).select(COLUMNS_OF_QUESTIONS)
    return score_batches(split.select(COLUMNS_OF_SAMPLES), asked, table.to_batches(size), protocol)


@pytest.mark.parametrize("protocol", ["strict", "reference"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches_and_the_columns_that_are_named_give_the_same_scores(protocol, size):
    whole = score_predictions(samples(**BATCHED_TRUTHS), predictions(*BATCHED), protocol)
    assert in_batches(protocol, BATCHED, size=size).equals(whole)


@pytest.mark.parametrize(
    "answered", [BATCHED[:-1], (*BATCHED, prediction("d", TOP)), (*BATCHED[:-1], prediction("d", TOP))]
)
def test_predictions_that_are_replaced_while_they_are_scored_are_refused(answered):
    with pytest.raises(InputError, match="replaced while they were scored: run the same command again"):
        in_batches("strict", BATCHED, answered)
