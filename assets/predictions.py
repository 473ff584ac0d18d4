"""The answers of systems, and the masks that the segmenter makes of them.

https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.events import check_specs, results
from assets.groups import PREDICTIONS
from assets.partitions import evaluation_of, evaluations
from assets.resources import GPU, WorkerLauncher
from t2s_pipeline.steps.answers import Complete, Segment
from t2s_pipeline.systems.resolve import resolve

# The split is in the key; Dagster sees no relation between splits that are read and splits that are evaluated.
ANSWERED = [dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping()) for table in ("images", "samples")]


class PredictionConfig(dg.Config):
    """Whether finished work is redone."""

    fresh: bool = Field(default=False, description="Redo finished work.")


@dg.asset(
    group_name=PREDICTIONS,
    partitions_def=evaluations,
    deps=["checkpoint", *ANSWERED],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("completions"),
)
def completions(
    context: dg.AssetExecutionContext, config: PredictionConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """The prompter's answer to every question: its thought and its prompts, as text."""
    name, dataset, split = evaluation_of(context.partition_key)
    step = Complete(resolve(name, worker.settings), dataset, split)
    yield from results(worker.settings, worker.runner(context, config.fresh).run(step))


@dg.asset(
    group_name=PREDICTIONS,
    partitions_def=evaluations,
    deps=["completions"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("predictions"),
)
def predictions(
    context: dg.AssetExecutionContext, config: PredictionConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """Masks: every answer is parsed and its prompts are given to the frozen SAM2; else the reason why not is kept."""
    name, dataset, split = evaluation_of(context.partition_key)
    step = Segment(resolve(name, worker.settings), dataset, split)
    yield from results(worker.settings, worker.runner(context, config.fresh).run(step))
