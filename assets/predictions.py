"""What systems answer and what the segmenter draws of it. https://docs.dagster.io/guides/build/assets"""

from collections.abc import Iterator

import dagster as dg

from assets.events import check_specs, results
from assets.partitions import dataset_and_split, evaluations
from assets.resources import WorkerLauncher
from assets.training import GPU

GROUP = "predictions"

# The split is in the key; Dagster sees no relation between splits that are read and splits that are evaluated.
ANSWERED = [dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping()) for table in ("images", "samples")]


class PredictionConfig(dg.Config):
    fresh: bool = False


@dg.asset(
    group_name=GROUP,
    partitions_def=evaluations,
    deps=["checkpoint", *ANSWERED],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("completions"),
)
def completions(
    context: dg.AssetExecutionContext, config: PredictionConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """The prompter's answer to every question: its thought and its prompts, as text."""
    system, place = _system_and_place(context)
    yield from results(worker.settings, [worker.steps(context, config.fresh).complete(system, *place)])


@dg.asset(
    group_name=GROUP,
    partitions_def=evaluations,
    deps=["completions"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("predictions"),
)
def predictions(
    context: dg.AssetExecutionContext, config: PredictionConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """Masks: every answer parsed, its prompts handed to the frozen SAM2, or the reason why not."""
    system, place = _system_and_place(context)
    yield from results(worker.settings, [worker.steps(context, config.fresh).segment(system, *place)])


def _system_and_place(context: dg.AssetExecutionContext) -> tuple[str, tuple[str, str]]:
    keys = context.partition_key.keys_by_dimension
    return keys["system"], dataset_and_split(keys["split"])
