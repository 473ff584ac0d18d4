"""gIoU, cIoU and P@0.5 by hand, and intervals that behave as intervals."""

import numpy as np
import pyarrow as pa
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.evaluation import intervals, metrics
from t2s_pipeline.evaluation.pairs import all_differences, pairs
from t2s_pipeline.evaluation.score import score_predictions
from t2s_pipeline.lake.schema import BENCHMARK_METRICS, PAIRED_DIFFERENCES, SAMPLE_SCORES
from tests.evaluation.tables import prediction, predictions, rectangle, samples, scores
from tests.work import calls_of


def test_one_question_a_sample_is_the_paper_s_equations():
    summary = metrics.summarize(
        scores(
            {"sample_id": "a", "intersection": 30, "union": 40, "iou": 0.75, "hit": True},
            {"sample_id": "b", "intersection": 10, "union": 100, "iou": 0.1},
            {"sample_id": "c", "union": 0, "iou": 1.0, "hit": True, "gt_empty": True, "pred_empty": True},
            {"sample_id": "d", "union": 60, "gt_empty": True},
        )
    )
    assert summary.giou.value == pytest.approx(100 * (0.75 + 0.1 + 1 + 0) / 4)
    assert summary.ciou.value == pytest.approx(100 * 40 / 200)
    assert summary.p_at_50.value == pytest.approx(50)
    assert (summary.rejection_true, summary.rejection_false) == (1, 1)
    assert (summary.n, summary.answers) == (4, 4)


def test_a_sample_counts_once_however_many_questions_it_has():
    summary = metrics.summarize(
        scores(
            {"sample_id": "a", "intersection": 50, "union": 100, "iou": 0.5, "question_index": 0},
            {"sample_id": "a", "intersection": 100, "union": 100, "iou": 1.0, "hit": True, "question_index": 1},
            {"sample_id": "b", "intersection": 20, "union": 200, "iou": 0.1},
        )
    )
    # a averages IoU 0.75, intersection 75 of union 100, half a hit; b stands as it is
    assert summary.giou.value == pytest.approx(100 * (0.75 + 0.1) / 2)
    assert summary.ciou.value == pytest.approx(100 * (75 + 20) / (100 + 200))
    assert summary.p_at_50.value == pytest.approx(25)
    assert (summary.n, summary.answers) == (2, 3)


def test_answers_with_a_null_hit_are_left_out_of_p_at_50_only():
    summary = metrics.summarize(
        scores(
            {"sample_id": "a", "intersection": 60, "iou": 0.6, "hit": True},
            {"sample_id": "b", "hit": None, "pred_empty": True},
        )
    )
    assert summary.p_at_50.value == pytest.approx(100)
    assert summary.giou.value == pytest.approx(30)


def test_format_errors_and_our_own_errors_are_counted():
    summary = metrics.summarize(
        scores(
            {"sample_id": "a", "status": "format_error"},
            {"sample_id": "b", "status": "error"},
            {"sample_id": "c", "status": "format_error"},
        )
    )
    assert (summary.format_errors, summary.errors) == (2, 1)


def test_a_metric_without_anything_to_count_is_null_not_zero():
    only_rejections = scores({"sample_id": "a", "union": 0, "iou": 1.0, "hit": None, "gt_empty": True})
    row = metrics.benchmark_metrics(only_rejections, "s", "d", "val", "reference").to_pylist()[0]
    assert row["giou"] == 100.0
    assert row["ciou"] is None and row["ciou_low"] is None and row["p_at_50"] is None


def test_the_row_of_benchmark_metrics_has_the_table_s_columns():
    row = metrics.benchmark_metrics(scores({"sample_id": "a"}), "s", "d", "val", "strict")
    assert row.schema == BENCHMARK_METRICS.schema
    assert row.select(["system", "dataset", "split", "protocol", "n"]).to_pylist() == [
        {"system": "s", "dataset": "d", "split": "val", "protocol": "strict", "n": 1}
    ]


def test_nothing_to_summarize_is_said():
    with pytest.raises(InputError, match="no scores"):
        metrics.summarize(SAMPLE_SCORES.schema.empty_table())


def random_scores(samples_count: int, questions: int = 1, seed: int = 0, lift: float = 0.0) -> pa.Table:
    """Scores with IoU uniform in 0 … 1; ``lift`` is added to every IoU, up to 1; easy images are easy for all seeds."""
    noise = np.random.default_rng(seed).random((samples_count, questions))
    ease = np.random.default_rng(99).random((samples_count, 1))
    iou = np.clip(0.8 * ease + 0.2 * noise + lift, 0, 1).ravel()
    count = iou.size
    sample = np.repeat(np.arange(samples_count), questions).astype(str)
    return pa.table(
        {
            "sample_id": sample,
            "image_id": sample,
            "question_index": np.tile(np.arange(questions), samples_count),
            "intersection": (1000 * iou).astype(int),
            "union": np.full(count, 1000),
            "iou": iou,
            "hit": iou > 0.5,
            "gt_empty": np.zeros(count, bool),
            "pred_empty": np.zeros(count, bool),
            "status": ["ok"] * count,
        },
        schema=SAMPLE_SCORES.schema,
    )


def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    table = random_scores(400)
    giou = metrics.summarize(table).giou
    error = 100 * table["iou"].to_numpy().std() / np.sqrt(400)
    assert giou.low < giou.value < giou.high
    assert (giou.high - giou.low) / 2 == pytest.approx(1.96 * error, rel=0.06)


def test_questions_of_one_image_do_not_pose_as_independent_evidence():
    once = metrics.summarize(random_scores(200)).giou
    table = random_scores(200)
    repeated = pa.concat_tables(
        table.set_column(2, "question_index", pa.array([question] * 200, pa.int32())) for question in range(6)
    )
    six_times = metrics.summarize(repeated).giou
    assert six_times.high - six_times.low == pytest.approx(once.high - once.low)


def test_samples_of_one_image_are_resampled_together():
    table = random_scores(200)
    apart = metrics.summarize(table).giou
    pairs = np.sort(table["iou"].to_numpy())  # neighbours are alike, so that an image's two samples agree
    table = table.set_column(5, "iou", pa.array(pairs))
    together = table.set_column(1, "image_id", pa.array([f"{k // 2:03}" for k in range(200)]))
    paired = metrics.summarize(together).giou
    assert (paired.high - paired.low) / (apart.high - apart.low) == pytest.approx(np.sqrt(2), rel=0.08)


def test_row_order_changes_nothing():
    table = random_scores(50, questions=3)
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))
    a, b = metrics.summarize(table), metrics.summarize(shuffled)
    for metric in metrics.METRICS:
        x, y = getattr(a, metric), getattr(b, metric)
        assert (x.value, x.low, x.high) == pytest.approx((y.value, y.low, y.high), rel=1e-12)


def test_chunked_resampling_equals_resampling_in_one_piece(monkeypatch):
    sums = np.random.default_rng(0).random((30, 2))
    whole = intervals.resampled_sums(sums, resamples=100)
    monkeypatch.setattr(intervals, "CHUNK_CELLS", 30 * 7)
    assert np.allclose(intervals.resampled_sums(sums, resamples=100), whole)
    assert np.allclose(intervals.resampled_sums(np.ones((30, 1)), resamples=5), 30)


def test_an_interval_is_the_middle_of_what_is_defined():
    # 1,001 whole numbers: 2.5 % of the steps between them lie below 25, and as many above 975.
    values = np.concatenate([[np.nan], np.arange(1001.0)[::-1], [np.inf]])
    assert intervals.percentile_interval(values) == pytest.approx((25.0, 975.0))
    assert all(np.isnan(intervals.percentile_interval(np.array([np.nan, np.inf]))))


def test_every_interval_chooses_the_same_images():
    """Figures repeat digit by digit as long as this seed stays."""
    sums = np.array([[1.0], [10.0], [100.0]])
    chosen = np.random.default_rng(20_240_501).integers(3, size=(4, 3), dtype=np.int32)
    assert np.array_equal(intervals.resampled_sums(sums, resamples=4), sums[chosen].sum(axis=1))


def test_a_paired_difference_is_narrower_than_its_two_intervals():
    ours, theirs = random_scores(300, seed=1, lift=0.05), random_scores(300, seed=2)
    n, differences = metrics.compare(ours, theirs)
    giou = differences["giou"]
    assert n == 300
    expected = metrics.summarize(ours).giou.value - metrics.summarize(theirs).giou.value
    assert giou.value == pytest.approx(expected)
    assert 0 < giou.low < giou.value < giou.high
    alone = metrics.summarize(theirs).giou
    assert giou.high - giou.low < 0.5 * (alone.high - alone.low)


def test_a_system_does_not_differ_from_itself():
    table = random_scores(40)
    _, differences = metrics.compare(table, table)
    assert {(d.value, d.low, d.high) for d in differences.values()} == {(0.0, 0.0, 0.0)}


def test_only_samples_both_answered_are_compared():
    mask = rectangle(4, 4, slice(0, 2), slice(0, 4))
    split = samples(a=mask, b=mask, c=mask)
    ours = score_predictions(split, predictions(prediction("a", mask), prediction("b", mask)), "strict")
    theirs = score_predictions(split, predictions(prediction("b", None, "rejected"), prediction("c", mask)), "strict")
    table = all_differences({"ours": ours, "theirs": theirs}, [("ours", "theirs")], "d", "val", "strict")
    assert table.schema == PAIRED_DIFFERENCES.schema
    rows = {row["metric"]: row for row in table.to_pylist()}
    assert set(rows) == {"giou", "ciou", "p_at_50"}
    assert rows["giou"]["n"] == 1 and rows["giou"]["difference"] == 100.0
    with pytest.raises(InputError, match="share no answered sample"):
        metrics.compare(ours.slice(0, 1), theirs)


def test_systems_resampled_together_differ_as_they_do_pair_by_pair():
    scores = {name: random_scores(60, seed=seed) for seed, name in enumerate("abc")}
    scores["d"] = scores["a"].slice(0, 31)  # answered fewer samples: cannot be resampled together with the others
    wanted = pairs(scores, {"a"})
    assert len(wanted) == 12
    rows = all_differences(scores, wanted, "d", "val", "strict").to_pylist()
    assert len(rows) == 36
    for row in rows:
        n, alone = metrics.compare(scores[row["system"]], scores[row["baseline"]])
        expected = alone[row["metric"]]
        assert row["n"] == n == (31 if "d" in (row["system"], row["baseline"]) else 60)
        assert (row["difference"], row["low"], row["high"]) == pytest.approx(
            (expected.value, expected.low, expected.high)
        )


def test_a_system_that_answered_nothing_is_compared_with_nobody():
    mask = rectangle(4, 4, slice(0, 2), slice(0, 4))
    split = samples(a=mask)
    scores = {
        "ours": score_predictions(split, predictions(prediction("a", mask)), "strict"),
        "none": score_predictions(split, predictions(), "strict"),
        "nor this": score_predictions(split, predictions(), "strict"),
    }
    assert all_differences(scores, pairs(scores, {"ours"}), "d", "val", "strict").num_rows == 0


def test_intermediate_checkpoints_are_compared_within_their_run_and_with_the_base():
    found = pairs(["base", "run", "run--20", "other", "other--20"], {"base"})
    assert ("run--20", "run") in found and ("run", "run--20") in found and ("run--20", "base") in found
    assert ("run", "other") in found and ("run--20", "other") not in found and ("run--20", "other--20") not in found


def test_the_work_on_resamples_is_that_of_arrays_and_not_of_samples():
    few, many = (random_scores(size) for size in (500, 16_158))
    metrics.summarize(few, resamples=2000)  # what is imported late is imported now
    counts = [calls_of(lambda table=table: metrics.summarize(table, resamples=2000)) for table in (few, many)]
    assert counts[1] < 2 * counts[0]
