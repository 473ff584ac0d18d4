"""Training runs and the checkpoints they leave.

https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.curves import observed
from assets.events import results
from assets.groups import TRAINING
from assets.partitions import add_keys, runs, systems
from assets.resources import GPU, Context, WorkerLauncher
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.steps.training import Train
from t2s_pipeline.training.presets import with_preset

# A run reads the training split of its experiment's dataset. The settings of the run name the dataset.
TRAINED_ON = [
    dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping()) for table in ("images", "samples", "pseudo_labels")
]


class TrainingConfig(dg.Config):
    """Changes to the settings of an experiment, and how its run starts."""

    preset: str = Field(default="", description="Settings that fit the GPUs: one-24gb, one-80gb, one-141gb, four-80gb.")
    overrides: list[str] = Field(default=[], description="Settings of the experiment to change: grpo.steps=20.")
    fresh: bool = Field(default=False, description="Redo finished work.")
    rendezvous: str = Field(default="", description="HOST:PORT of this machine, where compute.nodes meet.")


@dg.multi_asset(
    group_name=TRAINING,
    partitions_def=runs,
    pool=GPU,
    specs=[
        dg.AssetSpec(
            "training_log",
            deps=TRAINED_ON,
            kinds={"pytorch", "parquet"},
            description="GRPO step by step: rewards, KL, lengths, seconds.",
        ),
        dg.AssetSpec(
            "checkpoints",
            deps=["training_log"],
            kinds={"pytorch", "parquet"},
            description="The prompter's weights at steps of its training.",
        ),
    ],
)
def trained(
    context: dg.AssetExecutionContext, config: TrainingConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """Train a prompter with GRPO on the mask reward of the frozen segmenter."""
    run = context.partition_key
    overrides = with_preset(config.preset, config.overrides)
    if (other := experiment(run, overrides).run) != run:
        raise InputError(f"These settings make the run {other}: train that partition, not {run}.")
    with observed(context.instance, worker.settings, run):
        reports = worker.runner(context, config.fresh).run(Train(run, tuple(overrides), config.rendezvous))
    announce(context, run)
    yield from results(worker.settings, reports)


checkpoint = dg.AssetSpec(
    "checkpoint",
    group_name=TRAINING,
    deps=[dg.AssetDep("checkpoints", partition_mapping=dg.AllPartitionMapping())],
    partitions_def=systems,
    kinds={"pytorch"},
    description="The systems that can answer: an untrained base, a checkpoint of a run, or one made elsewhere.",
)


def announce(context: Context, system: str) -> None:
    """Register a system once, so that it can be evaluated."""
    if add_keys(context.instance, systems, [system]):
        context.log_event(dg.AssetMaterialization("checkpoint", partition=system))
