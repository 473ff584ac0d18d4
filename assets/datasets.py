"""Files and the tables read from them.

https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.events import check_specs, results
from assets.groups import DATASETS
from assets.partitions import dataset_and_split, dataset_splits
from assets.resources import WorkerLauncher
from t2s_pipeline.datasets import catalog
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes


class SyntheticScenesConfig(dg.Config):
    """How many embedded scenes to paint."""

    train: int = 1200
    val: int = 200
    test: int = 200
    fresh: bool = False


@dg.asset(group_name=DATASETS, kinds={"png"})
def synthetic_scenes(
    context: dg.AssetExecutionContext, config: SyntheticScenesConfig, worker: WorkerLauncher
) -> dg.MaterializeResult[None]:
    """Files: procedural overhead scenes with implicit questions, painted from a seed, in EarthReason's layout.

    A folder of your own takes their place with `make demo SCENES=<folder>`.
    """
    (report,) = worker.runner(context, config.fresh).run(SyntheticScenes(config.train, config.val, config.test))
    return dg.MaterializeResult(metadata={**report.metadata, "folder": dg.MetadataValue.path(worker.settings.scenes)})


class TablesConfig(dg.Config):
    """Where a benchmark lies, and whether it is read again."""

    root: str = Field(default="", description="The benchmark's folder, if it is not known yet. It is remembered.")
    fresh: bool = Field(default=False, description="Redo finished work.")


@dg.multi_asset(
    group_name=DATASETS,
    partitions_def=dataset_splits,
    specs=[
        dg.AssetSpec("images", deps=[synthetic_scenes], kinds={"parquet"}, description="Every image once."),
        dg.AssetSpec(
            "samples",
            deps=[synthetic_scenes],
            kinds={"parquet"},
            description="A target in an image: its mask and every question asked about it.",
        ),
        dg.AssetSpec(
            "selections",
            deps=[synthetic_scenes],
            kinds={"parquet"},
            description="The one question per sample that a published rule asks, with the seed of the choice.",
        ),
        dg.AssetSpec(
            "rejects", deps=[synthetic_scenes], kinds={"parquet"}, description="What could not be read, and why."
        ),
        dg.AssetSpec("notes", deps=[synthetic_scenes], kinds={"parquet"}, description="What is unusual about a file."),
    ],
    check_specs=check_specs("images", "samples", "selections", "rejects", "notes"),
)
def read_split(
    context: dg.AssetExecutionContext, config: TablesConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """Read a dataset's split into the lake."""
    dataset, split = dataset_and_split(context.partition_key)
    if config.root:
        catalog.add_benchmark(worker.settings, dataset, Path(config.root))
    reports = worker.runner(context, config.fresh).run(ReadTables(dataset, split))
    yield from results(worker.settings, reports)
