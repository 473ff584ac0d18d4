"""Which samples the results page shows: by a rule, so that nobody can pick the pretty ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RULE = (
    "Chosen by rule from {system}'s answers to each sample's first question: {spread} spread evenly over its IoU "
    "from best to worst, {empty} with an empty target (one of each outcome where there are both), and {worst} "
    "where it failed worst (lowest IoU; among equals, where {baseline} did best)."
)


@dataclass(frozen=True)
class FirstAnswer:
    """One system's answer to a sample's first question; a slice of a ``sample_scores`` row."""

    sample_id: str
    iou: float
    gt_empty: bool


@dataclass(frozen=True)
class Pick:
    sample_id: str
    group: str
    """spread, empty or worst"""
    why: str


def choose(scores: Sequence[FirstAnswer], baseline: Mapping[str, float], count: int = 10) -> list[Pick]:
    """At most ``count`` samples: a fifth empty targets, a fifth worst failures, the others spread over the IoU.

    Args:
        scores: of the trained system.
        baseline: the base's IoU by sample, as far as there is one.

    The order of ``scores`` makes no difference.
    """
    empties = sorted((s for s in scores if s.gt_empty), key=lambda s: s.sample_id)
    targets = sorted((s for s in scores if not s.gt_empty), key=lambda s: (-s.iou, s.sample_id))
    rank = {s.sample_id: place for place, s in enumerate(targets, start=1)}
    fifth = max(1, count // 5)

    # Wrong ones and right ones in turn, so that both kinds show when both exist.
    wrong, right = [s for s in empties if s.iou < 1], [s for s in empties if s.iou >= 1]
    shown_empty = (wrong[:1] + right[:1] + wrong[1:] + right[1:])[:fifth]

    by_failure = sorted(targets, key=lambda s: (s.iou, -baseline.get(s.sample_id, 0.0), s.sample_id))
    # A high IoU is no failure, however few samples there are.
    shown_worst = [s for s in by_failure[:fifth] if s.iou <= 0.5]

    taken = {s.sample_id for s in shown_worst}
    others = [s for s in targets if s.sample_id not in taken]
    places = max(0, min(count - len(shown_empty) - len(shown_worst), len(others)))
    spread = [others[(2 * i + 1) * len(others) // (2 * places)] for i in range(places)]

    def placed(score: FirstAnswer) -> str:
        return f"rank {rank[score.sample_id]} of {len(targets)} by IoU"

    return (
        [Pick(s.sample_id, "spread", placed(s)) for s in spread]
        + [Pick(s.sample_id, "empty", "empty target") for s in shown_empty]
        + [Pick(s.sample_id, "worst", f"worst failure, {placed(s)}") for s in shown_worst]
    )


def rule(picks: Sequence[Pick], system: str, baseline: str) -> str:
    """The rule in words, with the numbers that came of it."""
    counts = {group: sum(pick.group == group for pick in picks) for group in ("spread", "empty", "worst")}
    return RULE.format(system=system, baseline=baseline, **counts)
