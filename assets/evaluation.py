"""Automatic evaluation: each new checkpoint on val, and the chosen checkpoints again every night.

https://docs.dagster.io/guides/automate/declarative-automation
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.events import check_specs, record, results
from assets.groups import RESULTS
from assets.partitions import evaluation_of, evaluations, systems
from assets.resources import GPU, WorkerLauncher
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.steps.answers import Agree
from t2s_pipeline.steps.evaluation import VALIDATION, evaluate, summary_on_val
from t2s_pipeline.steps.re_evaluation import rescore
from t2s_pipeline.systems.resolve import resolve

_is = dg.AutomationCondition
_CHECKPOINT_IS_NEW = _is.any_deps_match(_is.newly_updated())
ONCE_PER_CHECKPOINT = (
    # Not `on_missing`: it ignores partitions that existed before the daemon first looked, and a demo that ended
    # before `t2s ui` began leaves such partitions. A validation that failed or was terminated waits for a new
    # checkpoint, new settings or a person.
    (
        (_is.missing() & ~_is.execution_failed())
        | _CHECKPOINT_IS_NEW.since_last_handled().with_label("checkpoint or settings are new")
    )
    & ~_is.newly_requested().since(_CHECKPOINT_IS_NEW).with_label("was requested already")
    & ~_is.any_deps_missing()
    & ~_is.in_progress()
).with_label("once per checkpoint and its settings")
"""New data does not trigger re-evaluation: the only dependency is the checkpoint, whose fingerprint covers weights
and settings."""

ON_NEW_RESULTS = (_is.any_deps_updated().since_last_handled() & ~_is.in_progress()).with_label("there are new results")
"""For the few cheap assets that summarize everything. They do not wait for partitions that nobody asked for."""


@dg.asset(
    group_name=RESULTS,
    partitions_def=systems,
    deps=["checkpoint"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    automation_condition=ONCE_PER_CHECKPOINT,
)
def validation(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> dg.MaterializeResult[None]:
    """A checkpoint on the val split of its training dataset: completions, masks and scores, once and automatically."""
    runner = worker.runner(context)
    system = resolve(context.partition_key, runner.settings)
    record(context, runner.settings, evaluate(runner, system, system.dataset, VALIDATION))
    metrics = summary_on_val(runner.settings, system)
    return dg.MaterializeResult(
        metadata={
            "dataset": system.dataset,
            "giou": metrics.giou.value,
            "giou_low": metrics.giou.low,
            "giou_high": metrics.giou.high,
            "ciou": metrics.ciou.value,
            "p_at_50": metrics.p_at_50.value,
            "format_errors": metrics.format_errors,
        }
    )


@dg.asset(
    group_name=RESULTS,
    partitions_def=evaluations,
    deps=["sample_scores"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("rescores"),
)
def rescores(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> Iterator[dg.MaterializeResult[None]]:
    """A chosen checkpoint is evaluated again and compared with its accepted scores: does it still reach them?"""
    name, dataset, split = evaluation_of(context.partition_key)
    report = rescore(worker.runner(context), resolve(name, worker.settings), dataset, split)
    yield from results(worker.settings, [report])


class SamplingConfig(dg.Config):
    """How a system is sampled; the defaults are the library's."""

    completions: int = Sampling.completions
    temperature: float = Sampling.temperature
    seed: int = Sampling.seed
    max_questions: int = Field(default=1, description="Of a sample; 0 samples all.")
    fresh: bool = False


@dg.asset(
    group_name=RESULTS,
    partitions_def=evaluations,
    deps=["sample_scores"],
    pool=GPU,
    kinds={"pytorch", "parquet"},
)
def agreement(
    context: dg.AssetExecutionContext, config: SamplingConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """How far K sampled answers to one question agree: the system's uncertainty, measured without the truth."""
    name, dataset, split = evaluation_of(context.partition_key)
    sampling = Sampling(config.completions, config.temperature, config.seed, config.max_questions or None)
    step = Agree(resolve(name, worker.settings), dataset, split, sampling)
    yield from results(worker.settings, worker.runner(context, config.fresh).run(step))
