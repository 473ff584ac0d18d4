"""Scores, what SQL makes of them, and the page people read. https://docs.dagster.io/guides/build/assets

An asset names only what it newly depends on: scores read samples too, but predictions come of them already, and
a graph without the shortcuts reads from left to right.
"""

from collections.abc import Iterator

import dagster as dg

from assets.evaluation import WHEN_THERE_IS_NEWS
from assets.events import check_specs, results
from assets.partitions import dataset_and_split, evaluations
from assets.resources import WorkerLauncher
from t2s_pipeline.lake.database import build_database
from t2s_pipeline.reporting import leaderboard as standing

GROUP = "results"


class ScoreConfig(dg.Config):
    fresh: bool = False


@dg.asset(
    group_name=GROUP,
    partitions_def=evaluations,
    deps=["predictions"],
    kinds={"parquet"},
    check_specs=check_specs("sample_scores"),
)
def sample_scores(
    context: dg.AssetExecutionContext, config: ScoreConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """Every mask against the ground truth, under the strict and the reference protocol."""
    keys = context.partition_key.keys_by_dimension
    place = dataset_and_split(keys["split"])
    yield from results(worker.settings, worker.steps(context, config.fresh).score(keys["system"], *place))


@dg.multi_asset(
    group_name=GROUP,
    specs=[
        dg.AssetSpec(
            "benchmark_metrics",
            deps=["sample_scores"],
            kinds={"parquet"},
            description="gIoU, cIoU, P@0.5 and rejection of every system, with 95 % intervals.",
            automation_condition=WHEN_THERE_IS_NEWS,
        ),
        dg.AssetSpec(
            "paired_differences",
            deps=["sample_scores"],
            kinds={"parquet"},
            description="Every system less every other on the same images, with 95 % intervals.",
            automation_condition=WHEN_THERE_IS_NEWS,
        ),
    ],
)
def summaries(
    context: dg.AssetExecutionContext, config: ScoreConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """Metrics and paired differences of all that was scored."""
    yield from results(worker.settings, worker.steps(context, config.fresh).summarize())


@dg.asset(group_name=GROUP, kinds={"parquet"})
def published_metrics(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> Iterator[dg.MaterializeResult]:
    """The paper's own numbers, Tables 1 to 6."""
    yield from results(worker.settings, [worker.steps(context).publish()])


@dg.asset(
    group_name=GROUP,
    deps=["benchmark_metrics", "paired_differences", "published_metrics"],
    kinds={"duckdb", "sql"},
    automation_condition=WHEN_THERE_IS_NEWS,
)
def leaderboard(worker: WorkerLauncher) -> dg.MaterializeResult:
    """The view `leaderboard` over all results: `t2s sql "select * from leaderboard"`."""
    return dg.MaterializeResult(metadata={"leaderboard": dg.MetadataValue.md(standing.as_markdown(worker.settings))})


@dg.asset(
    group_name=GROUP,
    deps=["benchmark_metrics"],
    kinds={"duckdb", "sql"},
    automation_condition=WHEN_THERE_IS_NEWS,
)
def checkpoint_trend(worker: WorkerLauncher) -> dg.MaterializeResult:
    """Each run from checkpoint to checkpoint on val, and the one that is chosen."""
    metadata = {f"{run} giou": value for run, value in standing.best_giou(worker.settings).items()}
    trend = dg.MetadataValue.md(standing.trend_as_markdown(worker.settings))
    return dg.MaterializeResult(metadata={"trend": trend, **metadata})


@dg.asset(
    group_name=GROUP,
    deps=["benchmark_metrics", "paired_differences", "published_metrics"],
    kinds={"duckdb"},
    automation_condition=WHEN_THERE_IS_NEWS,
)
def results_database(worker: WorkerLauncher) -> dg.MaterializeResult:
    """T2S_HOME/results.duckdb: every table and view in one file, for notebooks and BI tools."""
    path = build_database(worker.settings)
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(path), "bytes": path.stat().st_size})


@dg.asset(group_name=GROUP, deps=["leaderboard"], kinds={"html"})
def report(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> dg.MaterializeResult:
    """Pictures: the results page, with panels of what each system drew."""
    page = worker.steps(context).report().metadata["page"]
    return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(page)})
