"""Scores, the tables and views made from them, and the results page.

https://docs.dagster.io/guides/build/assets

An asset names only its direct dependencies. Scores also read samples, but predictions depend on samples already,
and a graph without these additional arrows reads from left to right.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.evaluation import ON_NEW_RESULTS
from assets.events import check_specs, results
from assets.groups import RESULTS
from assets.partitions import evaluation_of, evaluations
from assets.resources import WorkerLauncher
from t2s_pipeline.lake.database import build_database
from t2s_pipeline.reporting import leaderboard as board
from t2s_pipeline.steps.report import Report
from t2s_pipeline.steps.scores import Publish, Summarize, score_under_every_protocol
from t2s_pipeline.systems.resolve import resolve


class ScoreConfig(dg.Config):
    """Whether finished work is redone."""

    fresh: bool = Field(default=False, description="Redo finished work.")


@dg.asset(
    group_name=RESULTS,
    partitions_def=evaluations,
    deps=["predictions"],
    kinds={"parquet"},
    check_specs=check_specs("sample_scores"),
)
def sample_scores(
    context: dg.AssetExecutionContext, config: ScoreConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """Every mask against the ground truth, under the strict and the reference protocol."""
    name, dataset, split = evaluation_of(context.partition_key)
    system, runner = resolve(name, worker.settings), worker.runner(context, config.fresh)
    reports = []
    for step in score_under_every_protocol(system.name, system.segmenter_name, dataset, split):
        reports += runner.run(step)
    yield from results(worker.settings, reports)


@dg.multi_asset(
    group_name=RESULTS,
    specs=[
        dg.AssetSpec(
            "benchmark_metrics",
            deps=["sample_scores"],
            kinds={"parquet"},
            description="gIoU, cIoU, P@0.5 and rejection of every system, with 95 % intervals.",
            automation_condition=ON_NEW_RESULTS,
        ),
        dg.AssetSpec(
            "paired_differences",
            deps=["sample_scores"],
            kinds={"parquet"},
            description="The difference between every two systems on the same images, with 95 % intervals.",
            automation_condition=ON_NEW_RESULTS,
        ),
    ],
)
def summaries(
    context: dg.AssetExecutionContext, config: ScoreConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """Metrics and paired differences of all scores."""
    yield from results(worker.settings, worker.runner(context, config.fresh).run(Summarize()))


@dg.asset(group_name=RESULTS, kinds={"parquet"})
def published_metrics(
    context: dg.AssetExecutionContext, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """The paper's own numbers, Tables 1 to 6."""
    yield from results(worker.settings, worker.runner(context).run(Publish()))


@dg.asset(
    group_name=RESULTS,
    deps=["benchmark_metrics", "paired_differences", "published_metrics"],
    kinds={"duckdb", "sql"},
    automation_condition=ON_NEW_RESULTS,
)
def leaderboard(worker: WorkerLauncher) -> dg.MaterializeResult[None]:
    """The view `leaderboard` over all results: `t2s sql "select * from leaderboard"`."""
    return dg.MaterializeResult(metadata={"leaderboard": dg.MetadataValue.md(board.as_markdown(worker.settings))})


@dg.asset(
    group_name=RESULTS,
    deps=["benchmark_metrics"],
    kinds={"duckdb", "sql"},
    automation_condition=ON_NEW_RESULTS,
)
def checkpoint_trend(worker: WorkerLauncher) -> dg.MaterializeResult[None]:
    """The scores of each run's checkpoints on val, and the checkpoint that is chosen."""
    metadata = {f"{run} giou": value for run, value in board.best_giou(worker.settings).items()}
    trend = dg.MetadataValue.md(board.trend_as_markdown(worker.settings))
    return dg.MaterializeResult(metadata={"trend": trend, **metadata})


@dg.asset(
    group_name=RESULTS,
    deps=["benchmark_metrics", "paired_differences", "published_metrics"],
    kinds={"duckdb"},
    automation_condition=ON_NEW_RESULTS,
)
def results_database(worker: WorkerLauncher) -> dg.MaterializeResult[None]:
    """T2S_HOME/results.duckdb: every table and view in one file, for notebooks and BI tools."""
    path = build_database(worker.settings)
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(path), "bytes": path.stat().st_size})


@dg.asset(group_name=RESULTS, deps=["leaderboard"], kinds={"html"})
def report(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> dg.MaterializeResult[None]:
    """Pictures: the results page, with panels that show each system's prompts and masks."""
    runner = worker.runner(context)
    runner.run(Report())
    return dg.MaterializeResult(metadata={"page": dg.MetadataValue.path(runner.settings.page)})
