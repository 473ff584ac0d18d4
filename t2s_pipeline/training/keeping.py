"""Which checkpoints of a run can be removed: all except the newest ones and the best ones on val."""

from collections.abc import Callable, Mapping, Sequence

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.schema import BENCHMARK_METRICS
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.checkpoints import Checkpoint

PROTOCOL = "strict"


def dispensable(
    checkpoints: Sequence[Checkpoint],
    scores: Mapping[int, float],
    keep_last: int,
    keep_best: int,
    awaited: Callable[[Checkpoint], bool] = lambda checkpoint: True,
) -> list[Checkpoint]:
    """The checkpoints that can be removed, oldest first.

    Args:
        checkpoints: the complete checkpoints of a run.
        scores: gIoU on val by step, of the checkpoints that were evaluated.
        keep_last: how many of the newest are kept; 0 keeps all.
        keep_best: how many of the best are kept too. Then a checkpoint that was not evaluated is also kept,
            because it could be the best.
        awaited: whether a checkpoint that was not evaluated will be (``watch.validate``). Others can be removed.
    """
    if keep_last == 0:
        return []
    older = sorted(checkpoints, key=lambda checkpoint: checkpoint.step)[:-keep_last]
    evaluated = [checkpoint for checkpoint in checkpoints if checkpoint.step in scores]
    best = sorted(evaluated, key=lambda checkpoint: scores[checkpoint.step], reverse=True)[:keep_best]
    waiting = [checkpoint for checkpoint in checkpoints if checkpoint.step not in scores and awaited(checkpoint)]
    if keep_best == 0:
        waiting = []
    return [checkpoint for checkpoint in older if checkpoint not in best and checkpoint not in waiting]


def val_giou(lake: LakePlace, experiment: Experiment) -> dict[int, float]:
    """GIoU (percent, strict protocol) of a run's checkpoints on its dataset's val split, by step."""
    try:
        columns = ["system", "dataset", "split", "protocol", "giou"]
        rows = read_partition(lake, BENCHMARK_METRICS, {}, columns).to_pylist()
    except NotMaterializedError:
        return {}
    val = (experiment.dataset, "val", PROTOCOL)
    named = [(row["system"].partition("--"), row) for row in rows]
    return {
        int(step): row["giou"]
        for (run, _, step), row in named
        if run == experiment.run and step.isdecimal() and (row["dataset"], row["split"], row["protocol"]) == val
    }
