"""`t2s plan`: show what a training will do, its estimated memory and time, and what this machine lacks for it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.commands.plan_evaluation import print_bill
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.training.plan import TrainingPlan

EVALUATE = "evaluate"
"""The word that asks for the costs of an evaluation."""

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting. Can be repeated.")
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="Settings for the GPUs you have: one-24gb, one-80gb, one-141gb, four-80gb."),
]


def plan(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="EXPERIMENT | evaluate SYSTEM…",
            help="An experiment: see t2s experiments. NAME-seed1 is the same experiment with seed 1. Or the word "
            "evaluate and systems.",
        ),
    ],
    override: Overrides = None,
    preset: PresetName = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--datasets", help="With evaluate: a dataset. Default: the system's own. Can be repeated."),
    ] = None,
    splits: Annotated[
        list[str] | None, typer.Option("--splits", help="With evaluate: a split. Default: test. Can be repeated.")
    ] = None,
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="With evaluate: how many devices answer at the same time.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show what a training will do, or what an evaluation will cost.

    Of a training: steps, completions, an estimate of memory and time, and what is missing on this machine. The exit
    code is 1 if something is missing that the training needs, and 0 if there are warnings only.

    Of an evaluation (t2s plan evaluate SYSTEM…): hours, device hours and bytes, from measured rates where there are
    some.
    """
    if names[0] == EVALUATE:
        print_bill(names[1:], datasets or [], splits or ["test"], devices, as_json)
        return
    (name,) = _one(names)
    from t2s_pipeline.methods.experiments import experiment
    from t2s_pipeline.training.plan import training_plan
    from t2s_pipeline.training.presets import with_preset

    planned = training_plan(experiment(name, with_preset(preset, override or [])), Settings.from_env())
    if as_json:
        _print_json(planned)
    else:
        _print(planned)
    if not planned.can_run:
        raise typer.Exit(1)


def _one(names: Sequence[str]) -> Sequence[str]:
    if len(names) != 1:
        raise InputError(f"t2s plan shows one experiment at a time, not {' and '.join(names)}.")
    return names


def _print_json(plan: "TrainingPlan") -> None:
    import dataclasses
    import json

    fields = dataclasses.asdict(plan) | {"can_run": plan.can_run}
    if plan.memory is not None:
        fields["memory"] |= {"peak": plan.memory.peak}
    print(json.dumps(fields, indent=1))


def _print(plan: "TrainingPlan") -> None:
    from rich.table import Table

    from t2s_pipeline.commands.printing import VisibleConsole, print_command

    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in [*_settings(plan), *_needs(plan)]:
        table.add_row(f"[dim]{label}[/dim]", text)
    console = VisibleConsole()
    console.print(table)
    console.print(
        "Numbers for GPUs are estimates: bytes and operations are counted, nothing was measured.", style="dim"
    )
    for shortage in plan.missing:
        kind, colour = ("missing", "red") if shortage.blocks else ("warning", "yellow")
        detail = f" ({shortage.detail})" if shortage.detail else ""
        console.print(f"{kind}: {shortage.sentence}{detail}.", style=colour, highlight=False, markup=False)
        print_command(console, shortage.command, indent=2)
    if not plan.missing:
        console.print(f"Nothing is missing: t2s train {plan.experiment.run}")


def _settings(plan: "TrainingPlan") -> Iterator[tuple[str, str]]:
    """What will be trained and how, as pairs of a label and a text."""
    experiment, grpo, compute = plan.experiment, plan.experiment.grpo, plan.experiment.compute
    yield "run", experiment.run
    yield "models", f"{experiment.prompter} prompts {experiment.segmenter}, {experiment.recipe.combination}"
    yield "reward", experiment.recipe.reward
    yield "data", f"{experiment.dataset}-train, {_samples(plan)}"
    yield "steps", _steps(plan)
    yield (
        "per step",
        f"{grpo.prompts_per_step} prompts × {grpo.group_size} = {grpo.completions_per_step} completions",
    )
    rate = f"{grpo.learning_rate:g} {grpo.schedule}, KL {grpo.beta:g}, clip {grpo.epsilon:g}, {grpo.precision}"
    yield "learning rate", rate
    yield "ranks", f"{compute.ranks}" + (f", ZeRO-{compute.zero}" if compute.zero else "")


def _needs(plan: "TrainingPlan") -> Iterator[tuple[str, str]]:
    """Memory, time and disk space, as pairs of a label and a text."""
    from t2s_pipeline.core.embedded import EMBEDDED_PROMPTERS

    if plan.memory is not None:
        parts = ", ".join(
            f"{part} {value:.1f}" for part, value in vars(plan.memory).items() if isinstance(value, float) and value
        )
        yield "memory per GPU", f"about {plan.memory.peak:.1f} GB ({parts})"
    for device, step in plan.times:
        hours = None if plan.steps is None else plan.steps * step.total / 3600
        yield f"on {device.name}", f"about {step.total:.0f} s per step" + (f", {hours:.0f} h" if hours else "")
    if plan.memory is not None and not plan.times and plan.experiment.prompter not in EMBEDDED_PROMPTERS:
        yield "fits on", "no GPU in our list: see the presets"
    if plan.checkpoint_gb is not None:
        checkpoint_every = plan.experiment.grpo.checkpoint_every
        yield "per checkpoint", f"{plan.checkpoint_gb:.2g} GB, every {checkpoint_every} steps"
    if plan.earlier is not None:
        seconds, gigabytes = plan.earlier.seconds_per_step, plan.earlier.peak_megabytes / 1e3
        yield "measured here", f"{seconds:.2f} s per step, {gigabytes:.1f} GB at most"


def _samples(plan: "TrainingPlan") -> str:
    if plan.samples is None:
        return "not in the lake"
    return f"{plan.samples} samples" + ("" if plan.counted else " (as published; not in the lake)")


def _steps(plan: "TrainingPlan") -> str:
    grpo = plan.experiment.grpo
    if plan.steps is None:
        return f"{grpo.epochs:g} passes over the data"
    text = f"{plan.steps}, {plan.steps * grpo.completions_per_step} completions"
    return text if grpo.epochs is None else f"{text} ({grpo.epochs:g} passes)"
