"""Which systems the results page is about: a run that was trained here, and the untrained base of that run.

No other two systems are put side by side at the top of the page, because nobody meant them to be compared.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from t2s_pipeline.reporting.findings import Difference
from t2s_pipeline.reporting.rows import Row

TRAINED = "think2seg-mini"
"""Comes first where several runs could."""


@dataclass(frozen=True)
class PageSystems:
    """The systems on the page.

    Attributes:
        system: the trained run; None if none has scores.
        baseline: its untrained base; None if it has none, or no run has scores.
        series: system or run → index of its colour in ``charts.SERIES``.
        bases: trained system → its untrained base.
    """

    system: str | None
    baseline: str | None
    series: Mapping[str, int]
    bases: Mapping[str, str]

    @property
    def pair(self) -> list[str]:
        """The base and then the trained run, as far as they exist: before, then after."""
        return [name for name in (self.baseline, self.system) if name is not None]


def page_systems(
    metrics: Sequence[Row],
    differences: Sequence[Difference],
    trained: Set[str],
    runs: Set[str],
    chosen: str | None = None,
) -> PageSystems:
    """The run that the page is about, and its base.

    Args:
        metrics: rows of ``benchmark_metrics``.
        differences: of any two systems.
        trained: the systems that are checkpoints of a run.
        runs: the names of the runs, which get a colour too.
        chosen: the trained system that the page is to be about.
    """
    scored = {row["system"] for row in metrics}
    bases = {row["system"]: row["base"] for row in metrics if row["base"] is not None}
    compared = {d.system for d in differences if d.baseline == bases.get(d.system)}

    def order(name: str) -> tuple[bool, bool, bool, str]:
        return name not in compared, "--" in name, name != TRAINED, name

    candidates = sorted(scored & trained, key=order)
    system = chosen or (candidates[0] if candidates else None)
    baseline = None if system is None else bases.get(system)
    first = [name for name in (system, baseline) if name is not None]
    others = sorted((scored | runs) - set(first))
    series = {name: index for index, name in enumerate([*first, *others])}
    return PageSystems(system, baseline, series, bases)


def comparisons(differences: Sequence[Difference], bases: Mapping[str, str]) -> list[Difference]:
    """The differences of trained systems from their own bases."""
    return [d for d in differences if bases.get(d.system) == d.baseline]
