"""What rival methods learn from in place of masks, and how far that can carry.

https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.events import check_specs, results
from assets.partitions import dataset_and_split, dataset_splits
from assets.resources import WorkerLauncher
from assets.training import GPU
from t2s_pipeline.pseudo_labels import METHODS

GROUP = "labels"


class LabelConfig(dg.Config):
    methods: list[str] = Field(default=list(METHODS), description="Whose labels to make.")
    settings: list[str] = Field(default=[], description="Their settings: vision-reasoner.eps=7.")
    fresh: bool = Field(default=False, description="Redo finished work.")


class QualityConfig(dg.Config):
    segmenter: str = Field(default="sam2-mini", description="Who draws from the labels.")
    fresh: bool = Field(default=False, description="Redo finished work.")


@dg.asset(
    group_name=GROUP,
    partitions_def=dataset_splits,
    deps=["samples"],
    kinds={"parquet"},
    check_specs=check_specs("pseudo_labels"),
)
def pseudo_labels(
    context: dg.AssetExecutionContext, config: LabelConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """Boxes and points that Seg-Zero, VisionReasoner and RemoteReasoner make of a mask, with their parameters."""
    steps = worker.steps(context, config.fresh)
    place = dataset_and_split(context.partition_key)
    reports = [steps.label(method, *place, overrides=_of(method, config.settings)) for method in config.methods]
    yield from results(worker.settings, reports)


@dg.asset(
    group_name=GROUP,
    partitions_def=dataset_splits,
    deps=["images", "pseudo_labels"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("label_quality"),
)
def label_quality(
    context: dg.AssetExecutionContext, config: QualityConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """The ceiling: what the frozen SAM2 draws from the labels themselves, and from the best prompts near them."""
    place = dataset_and_split(context.partition_key)
    steps = worker.steps(context, config.fresh)
    yield from results(worker.settings, steps.judge_labels(config.segmenter, *place))


def _of(method: str, settings: list[str]) -> list[str]:
    return [setting.removeprefix(f"{method}.") for setting in settings if setting.startswith(f"{method}.")]
