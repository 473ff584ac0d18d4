"""The job `demo`: a sample's whole way, from files to pictures.

It spans many partitions of the assets (a run to train, several systems on several splits), which one run of an
asset job cannot: such a run has one partition key. So it is a job of ops, one a room of the house, that call the
same library steps as the assets and record a materialization of the asset's partition for each. Every step is
skipped where its finished work still stands.
"""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.curves import observed
from assets.events import record
from assets.resources import WorkerLauncher
from assets.training import GPU, announce
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets import catalog
from t2s_pipeline.datasets.registry import splits_of
from t2s_pipeline.methods.experiments import BASELINE
from t2s_pipeline.methods.recipe import RECIPES
from t2s_pipeline.pseudo_labels import METHODS as LABELLINGS
from t2s_pipeline.reporting import leaderboard

EMBEDDED = "synthetic"
SEGMENTER = "sam2-mini"
METHODS = {name: f"{name}-mini" for name in RECIPES}
"""The methods that can be trained on the embedded default, and the experiment of each."""


@dataclass(frozen=True)
class Plan:
    """What one run of the demo does; it travels from op to op."""

    dataset: str
    splits: tuple[str, ...]
    experiments: tuple[str, ...]
    labels: bool
    """Whether anybody learns from pseudo-labels."""
    systems: tuple[str, ...]
    overrides: tuple[str, ...]
    fresh: bool

    @property
    def evaluations(self) -> list[tuple[str, str, str]]:
        """(system, dataset, split)"""
        return [(system, self.dataset, split) for system in self.systems for split in self.splits]


class DemoConfig(dg.Config):
    """Without any of these, the embedded default: its scenes, its models, one seed."""

    scenes: str = Field(default="", description="Evaluate this folder in EarthReason layout, not the embedded scenes.")
    seeds: list[int] = Field(default=[0], description="Train and evaluate one run a method and seed.")
    methods: list[str] = Field(
        default=list(METHODS), description="Train these methods: think2seg and those it is compared with."
    )
    systems: list[str] = Field(default=[], description="Evaluate these; empty: the untrained base and each run.")
    fresh: bool = Field(default=False, description="Redo finished work.")
    train_scenes: int = Field(default=1200, description="How many embedded scenes to draw for training,")
    val_scenes: int = Field(default=200, description="for validation,")
    test_scenes: int = Field(default=200, description="and for testing.")
    overrides: list[str] = Field(default=[], description="Settings of the experiment: grpo.steps=20.")


@dg.op
def files(context: dg.OpExecutionContext, config: DemoConfig, worker: WorkerLauncher) -> Plan:
    """Files: draw the embedded scenes, and look at the folder that is evaluated in their place."""
    settings = worker.settings
    settings.require_worker()
    dataset, splits = EMBEDDED, ("val", "test")
    if config.scenes:
        folder = Path(config.scenes)
        dataset = catalog.add_dataset(settings, folder)
        found = splits_of(folder)
        splits = tuple(split for split in found if split != "train") or tuple(found)
    report = worker.steps(context, config.fresh).scenes(config.train_scenes, config.val_scenes, config.test_scenes)
    record(context, settings, [report])
    unknown = [method for method in config.methods if method not in METHODS]
    if unknown:
        raise InputError(f"There is no method {unknown[0]!r}; there are {', '.join(METHODS)}.")
    chosen = [METHODS[method] for method in config.methods]
    runs = tuple(name if seed == 0 else f"{name}-seed{seed}" for seed in config.seeds for name in chosen)
    systems = tuple(config.systems) or (BASELINE, *runs)
    labels = any(RECIPES[method].labels for method in config.methods)
    return Plan(dataset, splits, runs, labels, systems, tuple(config.overrides), config.fresh)


@dg.op
def tables(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Tables: read each split into images, samples and rejects."""
    steps = worker.steps(context, plan.fresh)
    for place in [(EMBEDDED, "train"), *((plan.dataset, split) for split in plan.splits)]:
        record(context, steps.settings, steps.tables(*place))
    return plan


@dg.op
def label(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Labels: what rival methods make of the masks, for training and for the ceiling. Nothing if none is trained."""
    steps = worker.steps(context, plan.fresh)
    for place in dict.fromkeys([(EMBEDDED, "train"), (plan.dataset, plan.splits[-1])]) if plan.labels else ():
        record(context, steps.settings, [steps.label(method, *place) for method in LABELLINGS])
    return plan


@dg.op(pool=GPU)
def train(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Training: GRPO on the mask reward of the frozen segmenter, one run a seed."""
    steps = worker.steps(context, plan.fresh)
    for experiment in plan.experiments:
        with observed(context.instance, steps.settings, experiment):
            reports = steps.train(experiment, plan.overrides)
        record(context, steps.settings, reports)
    for system in plan.systems:
        announce(context, system)
    return plan


@dg.op(pool=GPU)
def complete(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Completions: each system answers every question."""
    steps = worker.steps(context, plan.fresh)
    for evaluation in plan.evaluations:
        record(context, steps.settings, [steps.complete(*evaluation)])
    return plan


@dg.op(pool=GPU)
def segment(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Masks: the frozen segmenter draws what the answers ask for."""
    steps = worker.steps(context, plan.fresh)
    for evaluation in plan.evaluations:
        record(context, steps.settings, [steps.segment(*evaluation)])
    return plan


@dg.op(pool=GPU)
def judge(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Ceilings: the frozen segmenter draws the labels of the last split. Nothing if nobody learns from labels."""
    steps = worker.steps(context, plan.fresh)
    if plan.labels:
        record(context, steps.settings, steps.judge_labels(SEGMENTER, plan.dataset, plan.splits[-1]))
    return plan


@dg.op
def score(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> Plan:
    """Scores: masks against the ground truth, then metrics, intervals and differences."""
    steps = worker.steps(context, plan.fresh)
    for evaluation in plan.evaluations:
        record(context, steps.settings, steps.score(*evaluation))
    record(context, steps.settings, [*steps.summarize(), steps.publish()])
    return plan


@dg.op
def show(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: Plan) -> None:
    """SQL and pictures: the leaderboard and the results page."""
    steps = worker.steps(context, plan.fresh)
    board = dg.MetadataValue.md(leaderboard.as_markdown(steps.settings))
    context.log_event(dg.AssetMaterialization("leaderboard", metadata={"leaderboard": board}))
    record(context, steps.settings, [steps.report(plan.dataset)])


@dg.job(executor_def=dg.in_process_executor)
def demo() -> None:
    """Everything once: files, tables, labels, training, completions, masks, ceilings, scores, SQL, pictures."""
    show(score(judge(segment(complete(train(label(tables(files()))))))))
