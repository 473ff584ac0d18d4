"""What must hold of a partition before another step uses it. Dagster shows these as asset checks."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.checks import dataset_checks, scene_checks
from t2s_pipeline.checks.claims import Check, CheckResult, LakeCheck
from t2s_pipeline.lake import schema


def _not_empty(rows: pa.Table) -> CheckResult:
    return CheckResult(rows.num_rows > 0, f"{rows.num_rows} rows", {"rows": rows.num_rows})


def _unique(*columns: str) -> Callable[[pa.Table], CheckResult]:
    def judge(rows: pa.Table) -> CheckResult:
        doubled = rows.num_rows - rows.group_by(list(columns)).aggregate([]).num_rows
        return CheckResult(doubled == 0, f"{doubled} rows repeat ({', '.join(columns)})", {"repeated": doubled})

    return judge


def _on_the_square(rows: pa.Table) -> CheckResult:
    """The corners of boxes are in order, and boxes and points are inside the square."""
    wrong = 0
    for row in rows.to_pylist():
        x0, y0, x1, y1 = row["bbox"]
        last = row["side"] - 1
        inside = all(0 <= value <= last for point in row["points"] for value in point)
        wrong += not (0 <= x0 <= x1 <= last and 0 <= y0 <= y1 <= last and inside)
    return CheckResult(wrong == 0, f"{wrong} of {rows.num_rows} labels are not inside their square", {"wrong": wrong})


def _few_rejects(rows: pa.Table) -> CheckResult:
    return CheckResult(rows.num_rows == 0, f"{rows.num_rows} files set aside", {"rejects": rows.num_rows})


def _nothing_unusual(rows: pa.Table) -> CheckResult:
    """Warnings by kind; a record of how a file was read is none."""
    kinds = rows.filter(rows["is_warning"])["kind"].value_counts().to_pylist()
    counts = {entry["values"]: entry["counts"] for entry in sorted(kinds, key=lambda entry: -entry["counts"])}
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return CheckResult(not counts, f"unusual files: {listed}" if counts else "nothing unusual", counts)


def _few_errors(rows: pa.Table) -> CheckResult:
    """A failure of the pipeline, not of the model, must not be scored as if it were an answer."""
    errors = pc.sum(pc.equal(rows["status"], "error")).as_py() or 0
    share = errors / max(1, rows.num_rows)
    return CheckResult(share <= 0.01, f"{errors} of {rows.num_rows} answers failed in the pipeline", {"errors": errors})


def _answers_parse(rows: pa.Table) -> CheckResult:
    wrong = pc.sum(pc.equal(rows["status"], "format_error")).as_py() or 0
    share = wrong / max(1, rows.num_rows)
    return CheckResult(share <= 0.2, f"{share:.1%} of the answers cannot be parsed", {"format_errors": wrong})


def _within_bounds(rows: pa.Table) -> CheckResult:
    """0 ≤ intersection ≤ union, and 0 ≤ IoU ≤ 1."""
    wrong = pc.or_(pc.greater(rows["intersection"], rows["union"]), pc.less(rows["intersection"], 0))
    wrong = pc.or_(wrong, pc.or_(pc.less(rows["iou"], 0.0), pc.greater(rows["iou"], 1.0)))
    count = pc.sum(wrong).as_py() or 0
    return CheckResult(count == 0, f"{count} impossible scores", {"wrong": count})


def _did_not_drop(rows: pa.Table) -> CheckResult:
    """The latest row decides; earlier evaluations had their own results."""
    last = rows.sort_by("scored_at").slice(rows.num_rows - 1).to_pylist()[0]
    interval = f"{last['difference']:+.2f} [{last['low']:+.2f}, {last['high']:+.2f}]"
    sentence = f"gIoU {last['giou']:.2f}, accepted {last['accepted_giou']:.2f}: {interval} points"
    return CheckResult(not last["dropped"], sentence, {"difference": last["difference"], "giou": last["giou"]})


CHECKS: tuple[Check | LakeCheck, ...] = (
    *dataset_checks.CHECKS,
    *scene_checks.CHECKS,
    Check("not_empty", schema.IMAGES.name, "There is at least one image.", ("image_id",), _not_empty),
    Check("ids_are_unique", schema.IMAGES.name, "No image id repeats.", ("image_id",), _unique("image_id")),
    Check("ids_are_unique", schema.SAMPLES.name, "No sample id repeats.", ("sample_id",), _unique("sample_id")),
    Check("nothing_set_aside", schema.REJECTS.name, "Every file could be used.", ("reason",), _few_rejects, False),
    Check(
        "nothing_unusual",
        schema.NOTES.name,
        "No file that was used looks unintended, such as a mask that is target everywhere.",
        ("kind", "is_warning"),
        _nothing_unusual,
        False,
    ),
    Check(
        "instances_are_unique",
        schema.PSEUDO_LABELS.name,
        "No instance of a sample is labelled twice.",
        ("sample_id", "instance"),
        _unique("sample_id", "instance"),
    ),
    Check(
        "labels_are_on_the_square",
        schema.PSEUDO_LABELS.name,
        "The corners of boxes are in order, and boxes and points are inside the square.",
        ("bbox", "points", "side"),
        _on_the_square,
    ),
    Check(
        "scores_are_possible",
        schema.LABEL_QUALITY.name,
        "Intersections and IoUs lie within their bounds.",
        ("intersection", "union", "iou"),
        _within_bounds,
    ),
    Check(
        "one_answer_a_question",
        schema.COMPLETIONS.name,
        "No question is answered twice.",
        ("sample_id", "question_index"),
        _unique("sample_id", "question_index"),
    ),
    Check(
        "pipeline_did_not_fail",
        schema.PREDICTIONS.name,
        "At most 1 % of the answers failed in the pipeline.",
        ("status",),
        _few_errors,
    ),
    Check(
        "answers_parse",
        schema.PREDICTIONS.name,
        "At least 80 % of the answers can be parsed.",
        ("status",),
        _answers_parse,
        False,
    ),
    Check(
        "scores_are_possible",
        schema.SAMPLE_SCORES.name,
        "Intersections and IoUs lie within their bounds.",
        ("intersection", "union", "iou"),
        _within_bounds,
    ),
    Check(
        "giou_holds",
        schema.RESCORES.name,
        "In a new evaluation, gIoU is not lower than the accepted one by more than the paired 95 % interval allows.",
        ("scored_at", "giou", "accepted_giou", "difference", "low", "high", "dropped"),
        _did_not_drop,
        False,
    ),
)


def checks_of(table: str) -> tuple[Check | LakeCheck, ...]:
    """The checks of the table with this name."""
    return tuple(check for check in CHECKS if check.table == table)
