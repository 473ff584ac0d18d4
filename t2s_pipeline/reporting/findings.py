"""What the numbers say, in words: the sentence at the top of the results page, and how answers fared.

The words follow from the interval alone, so they are as ready to say "worse" or "unclear" as "better".
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

FEW = 30
"""Below this many samples an interval by bootstrap is too narrow to be trusted, and the page says so."""


@dataclass(frozen=True)
class Difference:
    """A row of ``paired_differences`` for gIoU: ``system`` less ``baseline`` in points, 95 % interval."""

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
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "unclear"


@dataclass(frozen=True)
class Finding:
    """A sentence, what it rests on, and its tone: better, worse, unclear or missing."""

    sentence: str
    basis: str
    tone: str


def compare(difference: Difference) -> Finding:
    """Who wins by how much, or that nobody does."""
    d = difference
    size = f"{abs(d.difference):.1f} points gIoU"
    sentence = {
        "better": f"{d.system} beats {d.baseline} by {size}.",
        "worse": f"{d.system} falls {size} behind {d.baseline}.",
        "unclear": f"{d.system} and {d.baseline} cannot be told apart: {signed(d.difference)} points gIoU.",
    }[d.tone]
    basis = (
        f"95 % interval {signed(d.low)} to {signed(d.high)} points, {counted(d.n, 'sample')} of {d.dataset} {d.split}, "
        f"{d.protocol} protocol, both systems on the same images."
    )
    if d.n < FEW:
        basis += " So few samples show that it runs, not how good it is."
    return Finding(sentence, basis, d.tone)


def alone(row: dict, other: str, other_has_scores: bool) -> Finding:
    """For a row of ``benchmark_metrics`` without a difference to ``other``."""
    why = "the two have not been compared" if other_has_scores else f"{other} has not been evaluated here"
    return Finding(
        f"{row['system']} reaches {row['giou']:.1f} gIoU; {why}.",
        f"95 % interval {percent(row['giou_low'])} to {percent(row['giou_high'])}, {counted(row['n'], 'sample')} of "
        f"{row['dataset']} {row['split']}, {row['protocol']} protocol.",
        "missing",
    )


NOTHING = Finding("Nothing has been evaluated yet.", "Run `make demo`, then look here again.", "missing")


def percent(value: float | None) -> str:
    """One decimal, or a dash where the value is undefined."""
    return "–" if value is None else f"{value:.1f}"


def signed(points: float) -> str:
    """With a sign that is as wide as a plus, and no "−0.0"."""
    text = f"{points:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


@dataclass(frozen=True)
class Outcome:
    """A way for an answer to end. ``tone`` is a colour of the page (good, weak, bad, fault) and a shade of it."""

    key: str
    label: str
    tone: str


OUTCOMES = (
    Outcome("found", "target found: IoU above 0.5", "good"),
    Outcome("declined", "empty target left empty", "good soft"),
    Outcome("partial", "target found in part: IoU up to 0.5", "weak"),
    Outcome("missed", "mask beside the target: IoU 0", "bad"),
    Outcome("silent", "said “no target” where there is one", "bad mid"),
    Outcome("empty_mask", "prompts that gave an empty mask", "bad mid"),
    Outcome("false_alarm", "mask on an empty target", "bad soft"),
    Outcome("format_error", "answer that does not parse", "fault"),
    Outcome("missing", "no answer at all", "fault mid"),
    Outcome("error", "failure of the pipeline itself", "fault soft"),
)


def outcome(status: str, gt_empty: bool, pred_empty: bool, iou: float) -> str:
    """The key of the outcome of one answer, from its row in ``sample_scores``."""
    if status in ("format_error", "missing", "error"):
        return status
    if gt_empty:
        return "declined" if pred_empty else "false_alarm"
    if pred_empty:
        return "silent" if status == "rejected" else "empty_mask"
    if iou > 0.5:
        return "found"
    return "partial" if iou > 0 else "missed"


def tally(rows: Iterable[dict]) -> list[tuple[Outcome, int]]:
    """How many answers ended in which way, in the order of ``OUTCOMES``; rows of ``sample_scores``."""
    counts = Counter(outcome(r["status"], r["gt_empty"], r["pred_empty"], r["iou"]) for r in rows)
    return [(item, counts[item.key]) for item in OUTCOMES]
