"""The best checkpoint of each run, as the view `checkpoint_choices` states it. Orchestrator only (DuckDB)."""

from dataclasses import dataclass

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.views import query


@dataclass(frozen=True)
class Choice:
    """Of a run's checkpoints, the one that did best on the val split of ``dataset``."""

    run: str
    dataset: str
    system: str
    settled: bool
    """Whether every checkpoint of the run was evaluated there."""


def chosen(settings: Settings) -> list[Choice]:
    """One choice a run and dataset, by name."""
    rows = query(settings, "SELECT run, dataset, system, all_evaluated FROM checkpoint_choices WHERE chosen")
    return [Choice(*row.values()) for row in rows.to_pylist()]
