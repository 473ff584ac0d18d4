"""The views of sql/ over a real lake small enough to work out by hand."""

# ruff: noqa: E402
import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.evaluation.metrics import benchmark_metrics
from t2s_pipeline.evaluation.score import score_predictions
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.lake.questions import meaning, questions
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.views import query
from t2s_pipeline.vision import masks
from tests.evaluation.tables import prediction, rectangle, samples, scores

TABLE_VIEWS = {
    1: "table1_earthreason",
    2: "table2_rejection",
    3: "table3_zero_shot",
    4: "table4_prompters",
    5: "table5_segmenters",
    6: "table6_prompt_combinations",
}
TOP = rectangle(4, 4, slice(0, 2), slice(0, 4))  # 8 of 16 pixels
EMPTY = np.zeros((4, 4), bool)
SPLIT = {"dataset": "earthreason", "split": "val"}


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path, worker_python=tmp_path / "none", sql_dir=REPO / "sql")


def ask(settings: Settings, sql: str) -> list[dict]:
    return query(settings, sql).to_pylist()


def write(settings: Settings, table: Table, rows: pa.Table | list[dict], **partition: str) -> None:
    if isinstance(rows, list):
        rows = pa.Table.from_pylist(rows, schema=table.schema)
    write_partition(settings.lake, table, partition, rows)


def write_system(settings: Settings, system: str, split: pa.Table, predictions: list[dict]) -> None:
    """Predictions of a system, and their scores under both protocols."""
    table = pa.Table.from_pylist(predictions, schema=schema.PREDICTIONS.schema)
    write(settings, schema.PREDICTIONS, table, system=system, segmenter="sam2-mini", **SPLIT)
    for protocol in ("strict", "reference"):
        scores = score_predictions(split, table, protocol)
        write(settings, schema.SAMPLE_SCORES, scores, system=system, protocol=protocol, **SPLIT)


def metric_row(system: str, giou: float, **others) -> dict:
    """A row of ``benchmark_metrics``; a system with a published name has the settings of its row."""
    plain = {"differs": "" if system.removeprefix("released-").startswith("think2seg-rs") else None}
    plain |= {"dataset": "earthreason", "split": "val", "protocol": "strict", "n": 10, "answers": 60}
    return {**plain, "system": system, "giou": giou, "giou_low": giou - 1, "giou_high": giou + 1, **others}


def test_every_question_is_asked_in_words_and_answers_an_empty_lake(settings):
    found = questions(settings)
    assert {"leaderboard", "failures", "checkpoint_trend", "category_breakdown", "label_ceiling"} <= {
        question.name for question in found
    }
    assert set(TABLE_VIEWS.values()) <= {question.name for question in found}
    for question in found:
        assert question.sql.startswith("-- ") and question.sql.splitlines()[0].count("?") == 1, question.name
        # The paper's numbers are there from the first command on; nothing else is.
        rows = ask(settings, f"SELECT * FROM {question.name}")
        assert bool(rows) == (question.name in {*TABLE_VIEWS.values(), "compared_with_published"}), question.name
        assert {row["measured"] for row in rows} <= {None}, question.name


def test_every_column_of_every_view_has_a_meaning_and_none_is_explained_that_is_not_there(settings):
    for question in questions(settings):
        columns = [row["column_name"] for row in ask(settings, f"DESCRIBE {question.name}")]
        assert [column for column in columns if not meaning(question, column)] == [], question.name
        assert set(question.meanings) <= set(columns), question.name


def test_the_171_published_numbers_are_each_in_their_table_s_view(settings):
    total = 0
    columns = ("system", "prompter", "segmenter", "prompt_combination", "dataset", "split", "metric", "edition")
    for number, view in TABLE_VIEWS.items():
        expected = {
            (*(row[name] for name in columns), row["value"])
            for row in published_metrics().to_pylist()
            if row["paper_table"] == number
        }
        rows = ask(settings, f"SELECT * FROM {view}")
        assert {(*(row[name] for name in columns), row["published"]) for row in rows} == expected, view
        assert len(rows) == len(expected), view
        assert {row["measured"] for row in rows} == {None} == {row["protocol"] for row in rows}, view
        total += len(rows)
    assert total == 171


def test_a_measured_number_stands_beside_its_published_one_under_each_protocol(settings):
    rows = [metric_row("think2seg-rs-3b", 70.0), metric_row("think2seg-rs-3b", 68.0, protocol="reference")]
    write(settings, schema.BENCHMARK_METRICS, rows)
    for view in ("table1_earthreason", "table4_prompters", "table5_segmenters", "table6_prompt_combinations"):
        found = ask(
            settings,
            "SELECT published, protocol, measured, low, high, difference, n "
            f"FROM {view} WHERE measured_as = 'think2seg-rs-3b' AND split = 'val' AND metric = 'giou'",
        )
        assert [tuple(row.values()) for row in found] == [
            (69.3, "strict", 70.0, 69.0, 71.0, 0.7, 10),
            (69.3, "reference", 68.0, 67.0, 69.0, -1.3, 10),
        ], view


def test_released_weights_stand_beside_the_numbers_of_their_row(settings):
    rows = [metric_row(f"{prefix}think2seg-rs-3b", value) for prefix, value in (("", 70.0), ("released-", 69.0))]
    write(settings, schema.BENCHMARK_METRICS, [*rows, metric_row("released-seg-zero-7b", 50.0)])
    found = ask(
        settings,
        "SELECT measured_system, published, measured, note FROM table1_earthreason "
        "WHERE split = 'val' AND metric = 'giou' AND measured IS NOT NULL ORDER BY measured_system",
    )
    assert [tuple(row.values()) for row in found] == [
        # The paper's Seg-Zero was trained on EarthReason, and the released one was not.
        ("released-seg-zero-7b", None, 50.0, "not in the paper"),
        ("released-think2seg-rs-3b", 69.3, 69.0, None),
        ("think2seg-rs-3b", 69.3, 70.0, None),
    ]


def test_a_system_the_paper_does_not_list_follows_with_the_published_value_blank(settings):
    rows = [
        metric_row("ours", 80.0, rejection_true=3, rejection_false=1),
        metric_row("ours--20", 50.0),
        metric_row("ours", 90.0, dataset="synthetic"),
    ]
    write(settings, schema.BENCHMARK_METRICS, rows)
    first = ask(settings, "SELECT * FROM table1_earthreason WHERE split = 'val'")[0]
    assert (first["system"], first["published"], first["measured"]) == ("ours", None, 80.0)
    counts = ask(settings, "SELECT metric, measured, n FROM table2_rejection WHERE system = 'ours'")
    assert counts == [
        {"metric": "rejection_true", "measured": 3, "n": 4},
        {"metric": "rejection_false", "measured": 1, "n": 4},
    ]
    assert ask(settings, "SELECT * FROM compared_with_published WHERE system = 'ours--20'") == []
    assert len(ask(settings, "SELECT * FROM compared_with_published WHERE system = 'ours' AND metric = 'giou'")) == 1


def test_a_system_with_other_settings_follows_in_every_table_of_its_row_with_a_note(settings):
    rows = [metric_row("think2seg-rs-3b", 80.0, differs="3 steps instead of 2,963")]
    write(settings, schema.BENCHMARK_METRICS, rows)
    for view in ("table1_earthreason", "table4_prompters", "table5_segmenters", "table6_prompt_combinations"):
        asked = f"SELECT system, published, note FROM {view} WHERE measured IS NOT NULL AND metric = 'giou'"
        note = "not the published think2seg-rs-3b: 3 steps instead of 2,963"
        assert ask(settings, asked) == [{"system": "think2seg-rs-3b", "published": None, "note": note}], view
        published = f"SELECT count(*) AS n FROM {view} WHERE measured_as = 'think2seg-rs-3b' AND published = 69.3"
        assert ask(settings, published) == [{"n": 1}], view


def test_an_older_summary_that_compared_nothing_stands_beside_nothing(settings):
    write(settings, schema.BENCHMARK_METRICS, [metric_row("think2seg-rs-3b", 70.0, differs=None)])
    assert ask(settings, "SELECT DISTINCT published FROM table1_earthreason WHERE measured IS NOT NULL") == [
        {"published": None}
    ]


def test_a_published_system_s_other_splits_and_datasets_are_not_swallowed(settings):
    """The paper prints think2seg-rs-3b on EarthReason val and test, and on RRSIS-D test only."""
    rows = [
        metric_row("think2seg-rs-3b", 70.0, split="train"),
        metric_row("think2seg-rs-3b", 30.0, dataset="rrsis-d", split="val"),
        metric_row("think2seg-rs-3b", 60.0),
    ]
    write(settings, schema.BENCHMARK_METRICS, rows)
    found = ask(
        settings,
        "SELECT paper_table, dataset, split, published, measured FROM compared_with_published "
        "WHERE measured_as = 'think2seg-rs-3b' AND metric = 'giou' AND measured IS NOT NULL AND paper_table IN (1, 3)",
    )
    assert [tuple(row.values()) for row in found] == [
        (1, "earthreason", "train", None, 70.0),
        (1, "earthreason", "val", 69.3, 60.0),
        (3, "rrsis-d", "val", None, 30.0),
    ]


CHECKPOINTS = [{"system": name, "step": step} for name, step in (("run--20", 20), ("run--40", 40), ("run", 60))]


def test_the_best_checkpoint_is_chosen_on_val_whatever_test_says(settings):
    rows = [
        metric_row("run--20", 50.0, ciou=10.0),
        metric_row("run--40", 60.0, ciou=10.0),
        metric_row("run", 60.0, ciou=20.0),
        metric_row("run--20", 99.0, split="test"),
        metric_row("run--40", 99.0, protocol="reference"),
    ]
    write(settings, schema.BENCHMARK_METRICS, rows)
    write(settings, schema.CHECKPOINTS, CHECKPOINTS, run="run")
    columns = "system, val_giou, place, chosen, all_evaluated, scored_on_test, rule"
    found = ask(settings, f"SELECT {columns} FROM checkpoint_choices")
    rule = {row.pop("rule") for row in found}
    # 40 and 60 tie in gIoU, and 60 has the higher cIoU
    assert [tuple(row.values()) for row in found] == [
        ("run", 60.0, 1, True, True, False),
        ("run--40", 60.0, 2, False, True, False),
        ("run--20", 50.0, 3, False, True, True),
    ]
    assert len(rule) == 1 and "gIoU on val" in rule.pop()


def test_a_choice_is_not_settled_before_every_checkpoint_was_evaluated(settings):
    write(settings, schema.BENCHMARK_METRICS, [metric_row("run--20", 50.0), metric_row("run", 50.0, split="test")])
    write(settings, schema.CHECKPOINTS, CHECKPOINTS, run="run")
    found = ask(settings, "SELECT system, place, chosen, all_evaluated FROM checkpoint_choices")
    assert [tuple(row.values()) for row in found] == [
        ("run--20", 1, True, False),
        ("run--40", None, False, False),
        ("run", None, False, False),
    ]


def test_a_run_stands_in_the_tables_with_the_checkpoint_that_val_chose(settings):
    names = ("think2seg-rs-3b--100", "think2seg-rs-3b")
    rows = [
        metric_row(name, giou, split=split)
        for name, scores in zip(names, ((70.0, 60.0), (65.0, 90.0)), strict=True)
        for split, giou in zip(("val", "test"), scores, strict=True)
    ]
    write(settings, schema.BENCHMARK_METRICS, rows)
    steps = [{"system": name, "step": step} for name, step in zip(names, (100, 200), strict=True)]
    write(settings, schema.CHECKPOINTS, steps, run="think2seg-rs-3b")
    found = ask(
        settings,
        "SELECT split, published, measured, measured_system FROM table1_earthreason "
        "WHERE measured_as = 'think2seg-rs-3b' AND metric = 'giou' ORDER BY split",
    )
    # The last checkpoint does better on test, and that must not matter.
    assert [tuple(row.values()) for row in found] == [("test", 71.09, 60.0, names[0]), ("val", 69.3, 70.0, names[0])]
    assert len(ask(settings, "FROM table1_earthreason WHERE measured_as = 'think2seg-rs-3b'")) == 4


def test_the_leaderboard_is_ranked_within_dataset_split_and_protocol(settings):
    rows = [
        metric_row("weak", 40.0),
        metric_row("strong", 60.0),
        metric_row("weak", 45.0, protocol="reference"),
        metric_row("weak", 20.0, dataset="synthetic", split="test"),
    ]
    write(settings, schema.BENCHMARK_METRICS, rows)
    found = ask(settings, "SELECT dataset, split, protocol, place, system, giou, giou_low FROM leaderboard")
    assert [tuple(row.values()) for row in found] == [
        ("earthreason", "val", "strict", 1, "strong", 60.0, 59.0),
        ("earthreason", "val", "strict", 2, "weak", 40.0, 39.0),
        ("earthreason", "val", "reference", 1, "weak", 45.0, 44.0),
        ("synthetic", "test", "strict", 1, "weak", 20.0, 19.0),
    ]


def test_failures_say_what_went_wrong_worst_first(settings):
    split = samples(
        over=(rectangle(4, 4, slice(0, 1), slice(0, 4)), 2),
        under=TOP,
        beside=TOP,
        missed=TOP,
        unread=TOP,
        broken=TOP,
        alarm=EMPTY,
        garbled=EMPTY,
        unanswered=TOP,
        good=TOP,
        rightly=EMPTY,
    )
    write(settings, schema.SAMPLES, split, **SPLIT)
    whole, bottom = np.ones((4, 4), bool), ~TOP
    bottom[1, 0] = True  # one pixel of the target, seven beside it and one more
    rows = [
        prediction("over", whole, question_index=1),  # precision 4/16, recall 1
        prediction("under", rectangle(4, 4, slice(0, 1), slice(0, 3))),  # precision 1, recall 3/8
        prediction("beside", bottom),
        prediction("missed", EMPTY, "rejected"),
        {**prediction("unread", None, "format_error"), "detail": "tags: none"},
        prediction("broken", None, "error"),
        prediction("alarm", TOP),
        prediction("garbled", None, "format_error"),
        prediction("good", TOP),
        prediction("rightly", EMPTY, "rejected"),
    ]
    write_system(settings, "ours", split, rows)
    answer = {"sample_id": "unread", "question_index": 0, "text": "well…"}
    write(settings, schema.COMPLETIONS, [answer], system="ours", **SPLIT)
    found = ask(settings, "SELECT * FROM failures")
    assert {row["sample_id"]: row["reason"] for row in found} == {
        "over": "over-segmentation",
        "under": "under-segmentation",
        "beside": "wrong place",
        "missed": "missed target",
        "unread": "format error",
        "broken": "failure of ours",
        "alarm": "false alarm",
        "garbled": "format error",
        "unanswered": "no answer",
    }
    assert [row["iou"] for row in found] == sorted(row["iou"] for row in found)
    by_sample = {row["sample_id"]: row for row in found}
    assert len(found) == len(by_sample)
    assert (by_sample["over"]["precision"], by_sample["over"]["recall"]) == (0.25, 1.0)
    assert by_sample["over"]["question"] == "Question 1?"
    assert (by_sample["unread"]["detail"], by_sample["unread"]["answer"]) == ("tags: none", "well…")
    assert by_sample["alarm"]["predicted_area"] == 8 and by_sample["alarm"]["recall"] is None


def test_category_breakdown_counts_a_sample_once_and_agrees_with_the_metrics(settings):
    split = samples(a=(TOP, 2), b=TOP, c=EMPTY)
    split = split.set_column(2, "category", pa.array(["bridge", "bridge", None]))
    write(settings, schema.SAMPLES, split, **SPLIT)
    half = rectangle(4, 4, slice(0, 1), slice(0, 4))
    rows = [
        prediction("a", TOP),
        prediction("a", half, question_index=1),
        prediction("b", half),
        prediction("c", EMPTY, "rejected"),
    ]
    write_system(settings, "ours", split, rows)
    found = ask(
        settings,
        "SELECT category, n, empty_targets, giou, ciou, p_at_50 FROM category_breakdown WHERE protocol = 'strict'",
    )
    # a: IoU (1 + 0.5) / 2, intersection 6 of union 8, half a hit; b: IoU 0.5, 4 of 8, no hit (not above 0.5)
    assert found == [
        {"category": "(none)", "n": 1, "empty_targets": 1, "giou": 100.0, "ciou": None, "p_at_50": 100.0},
        {"category": "bridge", "n": 2, "empty_targets": 0, "giou": 62.5, "ciou": 62.5, "p_at_50": 25.0},
    ]
    scores = score_predictions(split, pa.Table.from_pylist(rows, schema=schema.PREDICTIONS.schema), "strict")
    overall = benchmark_metrics(scores, "ours", "earthreason", "val", "strict").to_pylist()[0]
    assert overall["giou"] == pytest.approx((100 + 2 * 62.5) / 3)


def test_category_breakdown_is_right_where_one_sample_is_there_twice_and_another_is_not(settings):
    """The number of answers is that of the samples, so only the hashes say that no sample may be counted twice."""
    split = samples(a=TOP, b=TOP).set_column(2, "category", pa.array(["bridge", "bridge"]))
    write(settings, schema.SAMPLES, split, **SPLIT)
    rows = [{"iou": 1.0, "intersection": 8, "union": 8, "hit": True}, {"iou": 0.5, "intersection": 4, "union": 8}]
    told = scores(*({"sample_id": "a", "question_index": index, **row} for index, row in enumerate(rows)))
    write(settings, schema.SAMPLE_SCORES, told, system="ours", protocol="strict", **SPLIT)
    assert ask(settings, "SELECT category, n, giou, ciou, p_at_50 FROM category_breakdown") == [
        {"category": "bridge", "n": 1, "giou": 75.0, "ciou": 75.0, "p_at_50": 50.0}
    ]


def test_answers_below_the_threshold_are_abstained_and_the_risk_is_compared_with_the_wanted_one(settings):
    split = samples(a=TOP, b=TOP, c=TOP)
    write(settings, schema.SAMPLES, split, **SPLIT)
    half = rectangle(4, 4, slice(0, 1), slice(0, 4))
    rows = [prediction("a", TOP), prediction("b", half), prediction("c", EMPTY, "rejected")]
    write_system(settings, "ours", split, rows)
    agreement = [
        {"sample_id": key, "question_index": 0, "completions": 8, "agreement": value}
        for key, value in (("a", 0.9), ("b", 0.6), ("c", 0.3))
    ]
    write(settings, schema.AGREEMENT, agreement, system="ours", **SPLIT)
    threshold = {"split": "train", "wanted_risk": 0.2, "threshold": 0.6, "completions": 8}
    write(settings, schema.RISK_THRESHOLDS, [threshold], system="ours", dataset="earthreason")
    statuses = ask(settings, "SELECT sample_id, status FROM answers_with_abstention ORDER BY sample_id")
    assert [row["status"] for row in statuses] == ["ok", "ok", "abstained"]
    (row,) = ask(settings, "FROM risk_coverage")
    # Losses 0, 0.5 and 0; without abstention 0, 0.5 and 1.
    assert (row["n"], row["coverage"], row["risk"], row["is_kept"]) == (3, 66.67, 16.67, True)
    assert (row["risk_of_answered"], row["risk_without"], row["is_calibration"]) == (25.0, 50.0, False)


def test_morphology_breakdown_groups_by_shape_and_names_what_was_not_measured(settings):
    split = samples(a=TOP, b=TOP, c=EMPTY, d=TOP)
    place = split.schema.get_field_index("morphology")
    split = split.set_column(place, "morphology", pa.array(["thin", "thin", None, None]))
    write(settings, schema.SAMPLES, split, **SPLIT)
    half = rectangle(4, 4, slice(0, 1), slice(0, 4))
    rows = [prediction("a", TOP), prediction("b", half), prediction("c", EMPTY, "rejected"), prediction("d", half)]
    write_system(settings, "ours", split, rows)
    answer = ask(settings, "SELECT morphology, n, giou FROM morphology_breakdown WHERE protocol = 'strict'")
    assert answer == [
        {"morphology": "(empty)", "n": 1, "giou": 100.0},
        {"morphology": "(not measured)", "n": 1, "giou": 50.0},
        {"morphology": "thin", "n": 2, "giou": 75.0},
    ]


def test_checkpoint_trend_follows_a_run_by_step(settings):
    rows = [metric_row("run--20", 40.0), metric_row("run", 52.0), metric_row("run--5", 30.0), metric_row("other", 9.0)]
    write(settings, schema.BENCHMARK_METRICS, rows)
    checkpoints = [{"system": name, "step": step} for name, step in (("run--20", 20), ("run--5", 5), ("run", 60))]
    write(settings, schema.CHECKPOINTS, checkpoints, run="run")
    found = ask(settings, "SELECT run, step, system, giou, giou_change FROM checkpoint_trend")
    assert [tuple(row.values()) for row in found] == [
        ("run", 5, "run--5", 30.0, None),
        ("run", 20, "run--20", 40.0, 10.0),
        ("run", 60, "run", 52.0, 12.0),
    ]


def test_rejection_has_wilson_intervals(settings):
    rows = [
        metric_row("ours", 50.0, rejection_true=24, rejection_false=15),
        metric_row("never", 50.0, rejection_true=0, rejection_false=10),
        metric_row("no empty targets", 50.0, rejection_true=0, rejection_false=0),
    ]
    write(settings, schema.BENCHMARK_METRICS, rows)
    found = ask(settings, "SELECT system, rejected, rejected_low, rejected_high FROM rejection")
    # 24 of 39, z = 1.96: centre (0.61538 + 0.04925) / 1.09850, half-width 0.16043 / 1.0985
    assert [tuple(row.values()) for row in found] == [
        ("ours", 61.54, pytest.approx(45.9, abs=0.1), pytest.approx(75.11, abs=0.1)),
        ("never", 0.0, 0.0, pytest.approx(27.75, abs=0.01)),
    ]


def test_label_ceiling_averages_what_the_segmenter_makes_of_labels(settings):
    rows = [{"sample_id": str(n), "prompt_combination": "bbox", "iou": iou} for n, iou in enumerate((0.2, 0.8))]
    write(settings, schema.LABEL_QUALITY, rows, method="seg-zero", segmenter="sam2-mini", **SPLIT)
    found = ask(settings, "SELECT method, n, giou, p_at_50 FROM label_ceiling")
    assert found == [{"method": "seg-zero", "n": 2, "giou": 50.0, "p_at_50": 50.0}]


def test_selective_risk_keeps_the_answers_that_agree_most(settings):
    # Ten answers: agreement falls from 0.9 to 0.0; IoU is 1 but for the three that agree least and one that is sure
    # and wrong.
    wrong = {0, 7, 8, 9}
    agreement = [
        {
            "sample_id": str(n),
            "question_index": 0,
            "completions": 4,
            "agreement": 0.9 - n / 10,
            "rejected": 0,
            "unread": 0,
        }
        for n in range(10)
    ]
    write(settings, schema.AGREEMENT, agreement, system="ours", **SPLIT)
    rows = [
        {"sample_id": str(n), "image_id": str(n), "question_index": 0, "iou": float(n not in wrong), "status": "ok"}
        for n in range(10)
    ]
    write(settings, schema.SAMPLE_SCORES, rows, system="ours", protocol="strict", **SPLIT)
    write(settings, schema.SAMPLE_SCORES, rows, system="ours", protocol="reference", **SPLIT)
    columns = "coverage, kept, agreement_at_least, risk, risk_of_all, risk_at_best"
    found = ask(settings, f"SELECT {columns} FROM selective_risk")
    assert len(found) == 10
    by_coverage = {row.pop("coverage"): tuple(row.values()) for row in found}
    assert by_coverage[10] == (1, 0.9, 100.0, 40.0, 0.0)  # the one that is sure and wrong
    assert by_coverage[50] == (5, 0.5, 20.0, 40.0, 0.0)
    assert by_coverage[70] == (7, 0.3, 14.29, 40.0, 14.29)  # 1 of 7, and at best 6 right ones and 1 wrong
    assert by_coverage[100] == (10, 0.0, 40.0, 40.0, 40.0)


def test_label_ceiling_tells_targets_from_empty_ones_and_sums_pixels(settings):
    # IoUs 0.2 and 1 on targets, 1 on an empty one: (0.2 + 1 + 1) / 3 and (0.2 + 1) / 2; pixels (1 + 4) / (5 + 4).
    cases = [(1, 5, 0.2, False), (4, 4, 1.0, False), (0, 0, 1.0, True)]
    rows = [
        {"sample_id": str(n), "prompt_combination": "bbox", "iou": iou, "gt_empty": empty}
        | {"intersection": i, "union": u}
        for n, (i, u, iou, empty) in enumerate(cases)
    ]
    write(settings, schema.LABEL_QUALITY, rows, method="search", segmenter="sam2-mini", **SPLIT)
    [found] = ask(settings, "SELECT n, targets, giou, giou_targets, ciou FROM label_ceiling")
    assert found == {"n": 3, "targets": 2, "giou": 73.33, "giou_targets": 60.0, "ciou": 55.56}


def test_labels_per_sample_accounts_for_every_sample(settings):
    samples = [{"sample_id": key, "is_empty": key == "c"} for key in "abc"]
    write(settings, schema.SAMPLES, samples, **SPLIT)
    labels = [{"sample_id": "a", "instance": n, "area": 10 + n, "left_out": 3} for n in range(2)]
    write(settings, schema.PSEUDO_LABELS, labels, method="vision-reasoner", **SPLIT)
    found = ask(settings, "SELECT sample_id, instances, labelled_area, left_out, outcome FROM labels_per_sample")
    assert [tuple(row.values()) for row in found] == [
        ("a", 2, 21, 3, "labelled"),
        ("b", 0, 0, 0, "target without label"),
        ("c", 0, 0, 0, "empty target"),
    ]


def test_training_curve_smooths_over_the_last_ten_steps_of_the_same_run(settings):
    for run, offset in (("a", 0.0), ("b", 100.0)):
        steps = [{"step": n, "reward": n + offset, "seconds": 2.0} for n in range(1, 13)]
        write(settings, schema.TRAINING_LOG, steps, run=run)
    found = ask(settings, "SELECT run, step, reward_smoothed, seconds_so_far FROM training_curve WHERE step IN (1, 12)")
    # steps 3 to 12 average 7.5
    assert [tuple(row.values()) for row in found] == [
        ("a", 1, 1.0, 2.0),
        ("a", 12, 7.5, 24.0),
        ("b", 1, 101.0, 2.0),
        ("b", 12, 107.5, 24.0),
    ]


def test_masks_survive_the_way_into_sql(settings):
    split = samples(a=TOP)
    write(settings, schema.SAMPLES, split, **SPLIT)
    value = ask(settings, "SELECT mask FROM samples")[0]["mask"]
    assert np.array_equal(masks.decode(masks.Rle.from_arrow(value)), TOP)
