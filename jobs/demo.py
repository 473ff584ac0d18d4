"""The job `demo`: the whole way of a sample, from files to pictures.

It covers many partitions of the assets (a run to train, several systems on several splits). One run of an asset job
cannot do that, because it has one partition key. So this is a job of ops. Each op runs the same library steps as the
assets do, and records a materialization of the asset's partition for each step. A step is skipped if its finished
work is still valid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.curves import observed
from assets.events import record
from assets.resources import GPU, WorkerLauncher
from assets.training import announce
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets import catalog
from t2s_pipeline.methods.experiments import BASELINE
from t2s_pipeline.methods.registry import METHODS, embedded_methods, labellings_in_use
from t2s_pipeline.methods.shared_settings import EMBEDDED_DATASET
from t2s_pipeline.methods.system import System
from t2s_pipeline.reporting import leaderboard
from t2s_pipeline.reporting.leaderboard import checkpoint_choices
from t2s_pipeline.steps.answers import Complete, Segment
from t2s_pipeline.steps.evaluation import VALIDATION, evaluate, segments_on_one_core
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes
from t2s_pipeline.steps.labels import Judge, MakeLabels
from t2s_pipeline.steps.report import Report
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Publish, Summarize, score_under_every_protocol
from t2s_pipeline.steps.step import StepReport
from t2s_pipeline.steps.training import Train
from t2s_pipeline.systems.candidates import candidates
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.worker.launcher import training_with
from t2s_pipeline.worker.side_by_side import side_by_side

SEGMENTER = "sam2-mini"
EMBEDDED_EXPERIMENTS = {name: method.embedded.name for name, method in embedded_methods().items() if method.embedded}
"""The methods that can be trained on the embedded default, and the experiment of each."""


@dataclass(frozen=True)
class DemoPlan:
    """What one run of the demo does. It is passed from op to op."""

    dataset: str
    splits: tuple[str, ...]
    experiments: tuple[str, ...]
    labels: bool
    """True if a method learns from pseudo-labels."""
    systems: tuple[str, ...]
    """The systems that are evaluated, by name. The op `validate` adds the chosen checkpoint of each run."""
    chooses: bool
    """True if the checkpoint of each run is chosen on val; False if the systems were named."""
    overrides: tuple[str, ...]
    fresh: bool


class DemoConfig(dg.Config):
    """Without any of these, the embedded default: its scenes, its models, one seed."""

    scenes: str = Field(
        default="", description="Evaluate this folder in EarthReason's layout in place of the embedded scenes."
    )
    seeds: list[int] = Field(default=[0], description="Train and evaluate one run per method and seed.")
    methods: list[str] = Field(
        default=list(EMBEDDED_EXPERIMENTS), description="Train these methods: think2seg and those it is compared with."
    )
    systems: list[str] = Field(
        default=[],
        description="Evaluate these systems. Without any: the base, and of each run the best checkpoint on val.",
    )
    fresh: bool = Field(default=False, description="Redo finished work.")
    train_scenes: int = Field(default=1200, description="Number of embedded scenes for training.")
    val_scenes: int = Field(default=200, description="Number of embedded scenes for validation.")
    test_scenes: int = Field(default=200, description="Number of embedded scenes for testing.")
    overrides: list[str] = Field(default=[], description="Settings of the experiment, for example grpo.steps=20.")


@dg.op
def files(context: dg.OpExecutionContext, config: DemoConfig, worker: WorkerLauncher) -> DemoPlan:
    """Files: paint the embedded scenes, and check the folder that is evaluated in their place."""
    settings = worker.settings
    settings.require_worker()
    dataset, splits = EMBEDDED_DATASET, ["val", "test"]
    if config.scenes:
        folder = Path(config.scenes)
        dataset = catalog.add_dataset(settings, folder)
        available = catalog.find_dataset(settings, dataset).splits
        splits = [split for split in available if split != "train"] or available
    scenes = SyntheticScenes(config.train_scenes, config.val_scenes, config.test_scenes)
    record(context, settings, worker.runner(context, config.fresh).run(scenes))
    unknown = [method for method in config.methods if method not in EMBEDDED_EXPERIMENTS]
    if unknown:
        raise InputError(f"There is no method {unknown[0]!r}. There are: {', '.join(EMBEDDED_EXPERIMENTS)}.")
    experiments = [EMBEDDED_EXPERIMENTS[method] for method in config.methods]
    runs = tuple(name if seed == 0 else f"{name}-seed{seed}" for seed in config.seeds for name in experiments)
    return DemoPlan(
        dataset=dataset,
        splits=tuple(splits),
        experiments=runs,
        labels=any(METHODS[method].labels for method in config.methods),
        systems=tuple(config.systems) or (BASELINE,),
        chooses=not config.systems,
        overrides=tuple(config.overrides),
        fresh=config.fresh,
    )


@dg.op
def tables(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Tables: read each split into images, samples and rejects."""
    runner = worker.runner(context, plan.fresh)
    for dataset, split in [(EMBEDDED_DATASET, "train"), *((plan.dataset, split) for split in plan.splits)]:
        record(context, runner.settings, runner.run(ReadTables(dataset, split)))
    return plan


@dg.op
def label(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Labels: the pseudo-labels of rival methods, for training and for their upper limit. None without a rival."""
    runner = worker.runner(context, plan.fresh)
    splits = dict.fromkeys([(EMBEDDED_DATASET, "train"), (plan.dataset, plan.splits[-1])])
    for dataset, split in splits if plan.labels else ():
        reports = [
            report for method in labellings_in_use() for report in runner.run(MakeLabels(method, dataset, split))
        ]
        record(context, runner.settings, reports)
    return plan


@dg.op(pool=GPU)
def train(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Training: GRPO on the mask reward of the frozen segmenter, one run per experiment and seed.

    Several trainings run side by side. What needs no trained weights is done beside the last ones: the upper limits of
    labels, and the base. A single training has two threads.
    """
    runner = worker.runner(context, plan.fresh)

    def one(experiment: str) -> list[StepReport]:
        with observed(context.instance, runner.settings, experiment):
            return runner.run(Train(experiment, plan.overrides))

    keep = partial(record, context, runner.settings)
    trainings = [partial(one, experiment) for experiment in plan.experiments]
    others: list[Callable[[], list[StepReport]]] = []
    if plan.labels:
        others.append(partial(runner.run, Judge(SEGMENTER, plan.dataset, plan.splits[-1])))
    # After a single training without labels, the base is evaluated beside the checkpoints, so that no core waits.
    has_company = plan.labels or len(trainings) > 1
    for name in plan.systems if plan.chooses and has_company else ():
        announce(context, name)
        system = resolve(name, runner.settings)
        others += [partial(evaluate, runner, system, plan.dataset, split) for split in plan.splits]
    if len(trainings) == 1:
        side_by_side(trainings, keep)
        side_by_side(others, keep)
    else:
        with training_with(1):
            side_by_side([*trainings, *others], keep)
    return plan


@dg.op(pool=GPU)
def validate(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Validation: every checkpoint of each run is evaluated on val. The best one, and it alone, goes on to test."""
    runner = worker.runner(context, plan.fresh)
    runs = plan.experiments if plan.chooses else ()
    if VALIDATION not in plan.splits:
        runner.say(f"{plan.dataset} has no split {VALIDATION}: the last checkpoint of each run is evaluated.")
        return replace(plan, systems=(*plan.systems, *runs))
    trained = [
        candidate.system.name
        for candidate in candidates(runner.settings)[0]
        if candidate.run in runs and candidate.validates
    ]
    names = (*plan.systems, *trained)
    for name in names:
        announce(context, name)
    answering = [resolve(name, runner.settings) for name in names]
    jobs = [partial(evaluate, runner, system, plan.dataset, VALIDATION) for system in answering]
    side_by_side(jobs, partial(record, context, runner.settings), share_cores=all(map(segments_on_one_core, answering)))
    record(context, runner.settings, runner.run(Summarize()))
    best = {
        choice.run: choice.system
        for choice in checkpoint_choices(runner.settings)
        if choice.run in runs and choice.dataset == plan.dataset
    }
    for run, name in best.items():
        runner.say(f"{run}: {name} is the best checkpoint on {plan.dataset}-{VALIDATION}.")
    # Without any validation (watch.validate=none) there is no choice.
    return replace(plan, systems=(*plan.systems, *(best.get(run, run) for run in runs)))


@dg.op(pool=GPU)
def complete(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Completions: each system answers every question of the other splits."""
    runner = worker.runner(context, plan.fresh)
    jobs = [partial(runner.run, Complete(*evaluation)) for evaluation in _evaluations(runner, plan)]
    side_by_side(jobs, partial(record, context, runner.settings))
    return plan


@dg.op(pool=GPU)
def segment(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Masks: the frozen segmenter gets the prompts of each answer."""
    runner = worker.runner(context, plan.fresh)
    evaluations = list(_evaluations(runner, plan))
    jobs = [partial(runner.run, Segment(*evaluation)) for evaluation in evaluations]
    small = all(segments_on_one_core(system) for system, _, _ in evaluations)
    side_by_side(jobs, partial(record, context, runner.settings), share_cores=small)
    return plan


@dg.op
def score(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> DemoPlan:
    """Scores: masks against the ground truth, then metrics, intervals and differences."""
    runner = worker.runner(context, plan.fresh)
    for system, dataset, split in _evaluations(runner, plan):
        steps = score_under_every_protocol(system.name, system.segmenter_name, dataset, split)
        record(context, runner.settings, [report for step in steps for report in runner.run(step)])
    record(context, runner.settings, [*runner.run(Summarize()), *runner.run(Publish())])
    return plan


@dg.op
def show(context: dg.OpExecutionContext, worker: WorkerLauncher, plan: DemoPlan) -> None:
    """SQL and pictures: the leaderboard and the results page."""
    runner = worker.runner(context, plan.fresh)
    board = dg.MetadataValue.md(leaderboard.as_markdown(runner.settings))
    context.log_event(dg.AssetMaterialization("leaderboard", metadata={"leaderboard": board}))
    record(context, runner.settings, runner.run(Report(plan.dataset)))


def _evaluations(runner: Runner, plan: DemoPlan) -> Iterator[tuple[System, str, str]]:
    """(system, dataset, split) after validation. Each name is resolved once per op."""
    for name in plan.systems:
        system = resolve(name, runner.settings)
        for split in plan.splits:
            if split != VALIDATION:
                yield system, plan.dataset, split


@dg.job(executor_def=dg.in_process_executor)
def demo() -> None:
    """Everything once: files, tables, labels, training, validation, completions, masks and limits, scores, page."""
    show(score(segment(complete(validate(train(label(tables(files()))))))))
