"""Evaluation that happens by itself: each new checkpoint on val, the chosen ones again at night.

https://docs.dagster.io/guides/automate/declarative-automation
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.events import check_specs, record, results
from assets.partitions import dataset_and_split, evaluations, systems
from assets.resources import WorkerLauncher
from assets.training import GPU
from t2s_pipeline.evaluation.metrics import summarize
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.steps.evaluation import VALIDATION, evaluate
from t2s_pipeline.steps.re_evaluation import rescore
from t2s_pipeline.systems.candidates import home_dataset

GROUP = "results"

_is = dg.AutomationCondition
ONCE_A_CHECKPOINT = (
    # Not `on_missing`, which passes over partitions that were there when the daemon first looked: a demo that
    # ended before `t2s ui` began leaves such ones. A failed one waits for a new checkpoint, new settings or a person.
    (
        (_is.missing() & ~_is.execution_failed())
        | _is.any_deps_match(_is.newly_updated()).since_last_handled().with_label("checkpoint or settings are new")
    )
    & ~_is.any_deps_missing()
    & ~_is.in_progress()
).with_label("once a checkpoint and its settings")
"""A refreshed dataset is no reason: the only dependency is the checkpoint, whose mark covers weights and settings."""

WHEN_THERE_IS_NEWS = (_is.any_deps_updated().since_last_handled() & ~_is.in_progress()).with_label("there is news")
"""Of the few cheap assets that hold everything together. They do not wait for partitions that nobody asked for."""


@dg.asset(
    group_name=GROUP,
    partitions_def=systems,
    deps=["checkpoint"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    automation_condition=ONCE_A_CHECKPOINT,
)
def validation(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> dg.MaterializeResult:
    """A checkpoint on the val split of what it was trained on: completions, masks and scores, once by itself."""
    steps, name = worker.steps(context), context.partition_key
    dataset = home_dataset(steps.settings, name)
    record(context, steps.settings, evaluate(steps, name, dataset, VALIDATION))
    where = {"dataset": dataset, "split": VALIDATION, "system": name, "protocol": "strict"}
    found = summarize(read_partition(steps.settings.lake, schema.SAMPLE_SCORES, where))
    return dg.MaterializeResult(
        metadata={
            "dataset": dataset,
            "giou": found.giou.value,
            "giou_low": found.giou.low,
            "giou_high": found.giou.high,
            "ciou": found.ciou.value,
            "p_at_50": found.p_at_50.value,
            "format_errors": found.format_errors,
        }
    )


@dg.asset(
    group_name=GROUP,
    partitions_def=evaluations,
    deps=["sample_scores"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("rescores"),
)
def rescores(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> Iterator[dg.MaterializeResult]:
    """A chosen checkpoint evaluated anew, against its accepted scores: does it still do what they say?"""
    keys = context.partition_key.keys_by_dimension
    report = rescore(worker.steps(context), keys["system"], *dataset_and_split(keys["split"]))
    yield from results(worker.settings, [report])


class SamplingConfig(dg.Config):
    """How a system is sampled; the defaults are the library's."""

    completions: int = Sampling.completions
    temperature: float = Sampling.temperature
    seed: int = Sampling.seed
    max_questions: int = Field(default=1, description="Of a sample; 0 samples all.")
    fresh: bool = False


@dg.asset(
    group_name=GROUP,
    partitions_def=evaluations,
    deps=["sample_scores"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
)
def agreement(
    context: dg.AssetExecutionContext, config: SamplingConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult]:
    """How far K sampled answers to one question agree: the system's uncertainty, known without the truth."""
    keys = context.partition_key.keys_by_dimension
    sampling = Sampling(config.completions, config.temperature, config.seed, config.max_questions or None)
    steps = worker.steps(context, config.fresh)
    report = steps.agree(keys["system"], *dataset_and_split(keys["split"]), sampling)
    yield from results(worker.settings, [report])
