"""`t2s plan`: what a training will do, take and need, before it is started."""

from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.training.plan import TrainingPlan

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="What the GPUs can carry: one-24gb, one-80gb, one-141gb, four-80gb.")
]


def plan(
    name: Annotated[str, typer.Argument(help="An experiment (t2s experiments); NAME-seed1 is the same with a seed.")],
    override: Overrides = None,
    preset: PresetName = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Steps, completions, an estimate of memory and time, and what is missing on this machine.

    Exit code 1 if something is missing.
    """
    import dataclasses
    import json

    from t2s_pipeline.methods.experiments import experiment
    from t2s_pipeline.training.plan import training_plan
    from t2s_pipeline.training.presets import with_preset

    found = training_plan(experiment(name, with_preset(preset, override or [])), Settings.from_env())
    if as_json:
        told = dataclasses.asdict(found) | {"steps": found.steps}
        told["memory"] = told["memory"] and told["memory"] | {"peak": found.memory.peak}
        print(json.dumps(told, indent=1))
    else:
        _show(found)
    if found.missing:
        raise typer.Exit(1)


def _show(plan: "TrainingPlan") -> None:
    """The plan as a person reads it."""
    from rich.console import Console
    from rich.table import Table

    from t2s_pipeline.training.plan import EMBEDDED

    experiment, grpo, compute = plan.experiment, plan.experiment.grpo, plan.experiment.compute
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = [
        ("run", experiment.run),
        ("models", f"{experiment.prompter} asks {experiment.segmenter}, {experiment.recipe.combination}"),
        ("reward", experiment.recipe.reward),
        ("data", f"{experiment.dataset}-train, {_samples(plan)}"),
        ("steps", _steps(plan)),
        ("a step", f"{grpo.prompts_per_step} prompts × {grpo.group_size} = {grpo.completions_per_step} completions"),
        ("rate", f"{grpo.learning_rate:g} {grpo.schedule}, KL {grpo.beta:g}, clip {grpo.epsilon:g}, {grpo.precision}"),
        ("ranks", f"{compute.ranks}" + (f", ZeRO-{compute.zero}" if compute.zero else "")),
    ]
    if plan.memory is not None:
        told = ", ".join(
            f"{part} {value:.1f}" for part, value in vars(plan.memory).items() if isinstance(value, float) and value
        )
        rows.append(("memory a GPU", f"about {plan.memory.peak:.1f} GB ({told})"))
    for device, step in plan.times:
        hours = None if plan.steps is None else plan.steps * step.total / 3600
        rows.append((f"on {device.name}", f"about {step.total:.0f} s a step" + (f", {hours:.0f} h" if hours else "")))
    if plan.memory is not None and not plan.times and plan.experiment.prompter != EMBEDDED:
        rows.append(("fits", "no GPU that we know: see the presets"))
    if plan.checkpoint_gb is not None:
        rows.append(("a checkpoint", f"{plan.checkpoint_gb:.2g} GB, every {grpo.checkpoint_every} steps"))
    if plan.measured is not None:
        last = plan.measured
        told = f"{last.seconds_a_step:.2f} s a step, {last.peak_megabytes / 1e3:.1f} GB at most"
        rows.append(("measured here", told))
    for left, right in rows:
        table.add_row(f"[dim]{left}[/dim]", right)
    console = Console()
    console.print(table)
    console.print("Estimates for GPUs by counting bytes and operations; none of them was measured.", style="dim")
    for sentence in plan.missing:
        console.print(f"missing: {sentence}", style="red", highlight=False, markup=False, soft_wrap=True)
    if not plan.missing:
        console.print(f"Nothing is missing: t2s train {experiment.run}")


def _samples(plan: "TrainingPlan") -> str:
    if plan.samples is None:
        return "not in the lake"
    return f"{plan.samples} samples" + ("" if plan.counted else " (as published; not in the lake)")


def _steps(plan: "TrainingPlan") -> str:
    grpo = plan.experiment.grpo
    if plan.steps is None:
        return f"{grpo.epochs:g} passes over the data"
    told = f"{plan.steps}, {plan.steps * grpo.completions_per_step} completions"
    return told if grpo.epochs is None else f"{told} ({grpo.epochs:g} passes)"
