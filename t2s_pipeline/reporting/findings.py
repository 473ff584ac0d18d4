"""What the numbers say, in words: the sentence at the top of the results page, and the outcomes of answers.

The words depend on the interval alone. So the page says "worse" or "no certain difference" as readily as "better".
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from t2s_pipeline.reporting.rows import Row

FEW = 30
"""With fewer samples than this, a bootstrap interval is too narrow to be trusted, and the page says so."""


@dataclass(frozen=True)
class Difference:
    """A row of ``paired_differences`` for gIoU: ``system`` minus ``baseline`` in points, with a 95 % interval."""

    system: str
    baseline: str
    dataset: str
    split: str
    protocol: str
    n: int
    difference: float
    low: float
    high: float

    @property
    def tone(self) -> str:
        """``better`` or ``worse`` if the interval does not contain zero, else ``unclear``."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "unclear"


@dataclass(frozen=True)
class Finding:
    """A sentence, the numbers that it is based on, and its tone: better, worse, unclear or missing."""

    sentence: str
    basis: str
    tone: str


def compare(difference: Difference) -> Finding:
    """Which of the two systems is better and by how much, or that no difference is certain."""
    d = difference
    size = f"{abs(d.difference):.1f} points gIoU"
    sentence = {
        "better": f"{d.system} is better than {d.baseline} by {size}.",
        "worse": f"{d.system} is worse than {d.baseline} by {size}.",
        "unclear": f"No certain difference between {d.system} and {d.baseline}: {signed(d.difference)} points gIoU.",
    }[d.tone]
    basis = (
        f"95 % interval {signed(d.low)} to {signed(d.high)} points, {counted(d.n, 'sample')} of {d.dataset} {d.split}, "
        f"{d.protocol} protocol, both systems on the same images."
    )
    if d.n < FEW:
        basis += " So few samples show that the pipeline works, not how good a system is."
    return Finding(sentence, basis, d.tone)


def alone(row: Row, why: str) -> Finding:
    """The finding for one system, a row of ``benchmark_metrics``, that cannot be compared; ``why`` says why."""
    return Finding(
        f"{row['system']} reaches {row['giou']:.1f} gIoU; {why}.",
        f"95 % interval {percent(row['giou_low'])} to {percent(row['giou_high'])}, {counted(row['n'], 'sample')} of "
        f"{row['dataset']} {row['split']}, {row['protocol']} protocol.",
        "missing",
    )


def overview(rows: Sequence[Row], run: str | None) -> Finding:
    """The finding for systems none of which is the trained run: how many there are, without a winner.

    Args:
        rows: of ``benchmark_metrics``, at least one, all of one split and protocol.
        run: the trained run, which is not among them; None if no run has scores anywhere.
    """
    why = "no run that was trained here has been evaluated" if run is None else f"{run} has not been evaluated here"
    if len(rows) == 1:
        return alone(rows[0], why)
    first = rows[0]
    reached = ", ".join(f"{row['system']} {row['giou']:.1f}" for row in rows)
    return Finding(
        f"{len(rows)} systems have been evaluated; {why}.",
        f"gIoU: {reached}. {counted(first['n'], 'sample')} of {first['dataset']} {first['split']}, "
        f"{first['protocol']} protocol.",
        "missing",
    )


NOTHING = Finding("Nothing has been evaluated yet.", "Run `make demo`, then open this page again.", "missing")


def percent(value: float | None) -> str:
    """One decimal, or a dash where the value is undefined."""
    return "–" if value is None else f"{value:.1f}"


def signed(points: float) -> str:
    """One decimal with its sign. The minus is as wide as the plus, and there is no "−0.0"."""
    text = f"{points:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def counted(n: int, noun: str) -> str:
    """The number with its noun, which gets an s unless the number is 1."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an answer. ``tone`` is a colour of the page (good, weak, bad, fault) and a shade of it."""

    key: str
    label: str
    tone: str


OUTCOMES = (
    Outcome("found", "target found: IoU above 0.5", "good"),
    Outcome("declined", "empty target left empty", "good soft"),
    Outcome("partial", "target found in part: IoU up to 0.5", "weak"),
    Outcome("missed", "mask that does not touch the target: IoU 0", "bad"),
    Outcome("silent", "answer “no target” where there is one", "bad mid"),
    Outcome("empty_mask", "prompts that gave an empty mask", "bad mid"),
    Outcome("false_alarm", "mask on an empty target", "bad soft"),
    Outcome("format_error", "answer that cannot be parsed", "fault"),
    Outcome("missing", "no answer at all", "fault mid"),
    Outcome("error", "failure of the pipeline itself", "fault soft"),
)


def outcome(status: str, gt_empty: bool, pred_empty: bool, iou: float) -> str:
    """The key of the outcome of one answer, from its row in ``sample_scores``."""
    if status in ("format_error", "missing", "error"):
        return status
    if gt_empty:
        return "declined" if iou == 1.0 else "false_alarm"
    if pred_empty:
        return "silent" if status == "rejected" else "empty_mask"
    if iou > 0.5:
        return "found"
    return "partial" if iou > 0 else "missed"


def tally(rows: Iterable[Row]) -> list[tuple[Outcome, int]]:
    """The number of answers per outcome, in the order of ``OUTCOMES``, from rows of ``sample_scores``."""
    counts = Counter(outcome(r["status"], r["gt_empty"], r["pred_empty"], r["iou"]) for r in rows)
    return [(item, counts[item.key]) for item in OUTCOMES]
