"""Which checkpoints of a run may go: all but the newest and the best on val. No torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.lake.schema import BENCHMARK_METRICS
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.checkpoints import Checkpoint

PROTOCOL = "strict"


def dispensable(
    found: Sequence[Checkpoint], scores: Mapping[int, float], keep_last: int, keep_best: int
) -> list[Checkpoint]:
    """The checkpoints that need not be kept, oldest first.

    Args:
        found: a run's complete checkpoints.
        scores: gIoU on val by step, of those that were judged.
        keep_last: so many newest stay; 0 keeps all.
        keep_best: so many best stay too. One that was not judged may be the best, so then it stays.
    """
    if keep_last == 0:
        return []
    older = sorted(found, key=lambda checkpoint: checkpoint.step)[:-keep_last]
    judged = [checkpoint for checkpoint in found if checkpoint.step in scores]
    best = sorted(judged, key=lambda checkpoint: scores[checkpoint.step], reverse=True)[:keep_best]
    waiting = [] if keep_best == 0 else [checkpoint for checkpoint in found if checkpoint.step not in scores]
    return [checkpoint for checkpoint in older if checkpoint not in best and checkpoint not in waiting]


def val_giou(lake: Path, experiment: Experiment) -> dict[int, float]:
    """GIoU (percent, strict protocol) of a run's checkpoints on its dataset's val split, by step."""
    try:
        columns = ["system", "dataset", "split", "protocol", "giou"]
        rows = read_partition(lake, BENCHMARK_METRICS, {}, columns).to_pylist()
    except NotMaterializedError:
        return {}
    place = (experiment.dataset, "val", PROTOCOL)
    named = [(row["system"].partition("--"), row) for row in rows]
    return {
        int(step): row["giou"]
        for (run, _, step), row in named
        if run == experiment.run and step.isdecimal() and (row["dataset"], row["split"], row["protocol"]) == place
    }
