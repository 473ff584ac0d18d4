"""Which samples the results page shows. A rule chooses them, so that nobody can select good-looking ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RULE = (
    "A rule chooses the samples from the answers of {system} to each sample's first question: {spread} spread evenly "
    "over its IoU from best to worst, {empty} with an empty target (one of each outcome if there are both), and "
    "{worst} with the lowest IoU{ties}."
)
TIES = " (of equal ones, those where {baseline} has the highest IoU)"


@dataclass(frozen=True)
class FirstAnswer:
    """The score of a system's answer to a sample's first question; columns of ``sample_scores``."""

    sample_id: str
    iou: float
    gt_empty: bool


@dataclass(frozen=True)
class Pick:
    """A sample that the page shows, and why."""

    sample_id: str
    group: str
    """spread, empty or worst"""
    why: str


def choose(answers: Sequence[FirstAnswer], baseline: Mapping[str, float], count: int = 10) -> list[Pick]:
    """At most ``count`` samples: a fifth empty targets, a fifth worst failures, the others spread over the IoU.

    The order of ``answers`` makes no difference.

    Args:
        answers: of the trained system, one per sample.
        baseline: the untrained system's IoU by sample, for the samples that have one.
        count: the most samples.
    """
    empties = sorted((a for a in answers if a.gt_empty), key=lambda a: a.sample_id)
    targets = sorted((a for a in answers if not a.gt_empty), key=lambda a: (-a.iou, a.sample_id))
    rank = {a.sample_id: place for place, a in enumerate(targets, start=1)}
    fifth = max(1, count // 5)

    # Wrong and right answers alternate, so that both kinds are shown if both exist.
    wrong, right = [a for a in empties if a.iou < 1], [a for a in empties if a.iou >= 1]
    shown_empty = (wrong[:1] + right[:1] + wrong[1:] + right[1:])[:fifth]

    by_failure = sorted(targets, key=lambda a: (a.iou, -baseline.get(a.sample_id, 0.0), a.sample_id))
    # A high IoU is not a failure, even if there are few samples.
    shown_worst = [a for a in by_failure[:fifth] if a.iou <= 0.5]

    worst = {a.sample_id for a in shown_worst}
    others = [a for a in targets if a.sample_id not in worst]
    places = max(0, min(count - len(shown_empty) - len(shown_worst), len(others)))
    spread = [others[(2 * i + 1) * len(others) // (2 * places)] for i in range(places)]

    def rank_text(answer: FirstAnswer) -> str:
        return f"rank {rank[answer.sample_id]} of {len(targets)} by IoU"

    return (
        [Pick(a.sample_id, "spread", rank_text(a)) for a in spread]
        + [Pick(a.sample_id, "empty", "empty target") for a in shown_empty]
        + [Pick(a.sample_id, "worst", f"one of the worst answers, {rank_text(a)}") for a in shown_worst]
    )


def rule(picks: Sequence[Pick], system: str, baseline: str | None) -> str:
    """The rule in words, with the number of samples in each group; ``baseline`` is None without an untrained base."""
    counts = {group: sum(pick.group == group for pick in picks) for group in ("spread", "empty", "worst")}
    ties = "" if baseline is None else TIES.format(baseline=baseline)
    return RULE.format(system=system, ties=ties, **counts)
