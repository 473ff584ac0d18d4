"""Pseudo-labels: what rival methods learn from in place of masks, and the best result that they allow.

https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.events import check_specs, results
from assets.groups import LABELS
from assets.partitions import dataset_and_split, dataset_splits
from assets.resources import GPU, WorkerLauncher
from t2s_pipeline.methods.registry import labellings_in_use
from t2s_pipeline.steps.labels import Judge, MakeLabels
from t2s_pipeline.training.model_names import segmenter_name


class LabelConfig(dg.Config):
    """The methods whose labels are made, and their settings."""

    methods: list[str] = Field(default=labellings_in_use(), description="The methods whose labels are made.")
    settings: list[str] = Field(default=[], description="Settings of a method, for example vision-reasoner.eps=7.")
    fresh: bool = Field(default=False, description="Redo finished work.")


class QualityConfig(dg.Config):
    """The segmenter that judges the labels."""

    segmenter: str = Field(default="sam2-mini", description="The segmenter that gets the labels as prompts.")
    fresh: bool = Field(default=False, description="Redo finished work.")


@dg.asset(
    group_name=LABELS,
    partitions_def=dataset_splits,
    deps=["samples"],
    kinds={"parquet"},
    check_specs=check_specs("pseudo_labels"),
)
def pseudo_labels(
    context: dg.AssetExecutionContext, config: LabelConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """Boxes and points that Seg-Zero, VisionReasoner and RemoteReasoner make of a mask, with their parameters."""
    runner = worker.runner(context, config.fresh)
    dataset, split = dataset_and_split(context.partition_key)
    reports = []
    for method in config.methods:
        reports += runner.run(MakeLabels(method, dataset, split, _overrides_of(method, config.settings)))
    yield from results(worker.settings, reports)


@dg.asset(
    group_name=LABELS,
    partitions_def=dataset_splits,
    deps=["images", "pseudo_labels"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("label_quality"),
)
def label_quality(
    context: dg.AssetExecutionContext, config: QualityConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """The upper limit: the masks of the frozen SAM2 for the labels as prompts, and for the best prompts near them."""
    dataset, split = dataset_and_split(context.partition_key)
    reports = worker.runner(context, config.fresh).run(Judge(segmenter_name(config.segmenter), dataset, split))
    yield from results(worker.settings, reports)


def _overrides_of(method: str, settings: list[str]) -> tuple[str, ...]:
    """The settings of one method, without its name."""
    return tuple(setting.removeprefix(f"{method}.") for setting in settings if setting.startswith(f"{method}."))
