"""`t2s doctor`: show the machine, the datasets on it, and what each experiment still needs."""

from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from t2s_pipeline.steps.diagnosis import Complaint, DatasetState, Diagnosis, SplitState


NAMED = 3
"""Experiments of one complaint that are named; the others are counted."""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """List the datasets on this machine and their folders, and what each experiment still needs to run here.

    Each thing that is missing is followed by the command to type next.
    """
    from t2s_pipeline.steps.diagnosis import diagnose

    settings = Settings.from_env()
    diagnosis = diagnose(settings)
    if as_json:
        import dataclasses
        import json

        fields = dataclasses.asdict(diagnosis)
        fields["complaints"] = [dataclasses.asdict(complaint) for complaint in diagnosis.complaints]
        print(json.dumps(fields, indent=1, ensure_ascii=False))
    else:
        _print(diagnosis, settings)


def _print(diagnosis: "Diagnosis", settings: Settings) -> None:
    from t2s_pipeline.commands.printing import VisibleConsole, print_indented

    console = VisibleConsole(highlight=False)
    machine = diagnosis.machine
    gpus = ", ".join(f"{memory:.0f} GB" for memory in machine.gpus)
    console.print("This machine", style="bold")
    print_indented(console, f"GPUs: {gpus or 'none'}. Memory: {machine.memory:.0f} GB.")
    print_indented(console, f"T2S_HOME: {settings.home}, with {machine.free_disk:,.0f} GB free.")
    if machine.hub_cache:
        print_indented(console, f"Local Hub cache: {machine.hub_cache}.")
    console.print("\nDatasets: samples in the lake (published)", style="bold")
    for dataset in diagnosis.datasets:
        _print_dataset(console, dataset)
    _print_experiments(console, diagnosis)
    console.print("\nModels", style="bold")
    models = diagnosis.models
    print_indented(console, f"Prompters: {', '.join(models.prompters)}")
    print_indented(console, f"Families of other prompters: {', '.join(models.prompter_families)}")
    print_indented(console, f"Segmenters: {', '.join(models.segmenters)}")


def _print_dataset(console: "Console", dataset: "DatasetState") -> None:
    from t2s_pipeline.commands.printing import print_indented

    print_indented(console, dataset.key)
    if dataset.root:
        print_indented(console, f"{dataset.root} ({dataset.origin})", 4)
    else:
        print_indented(console, dataset.fault or "", 4, style="red")
    splits = " · ".join(map(_split_text, dataset.splits))
    if splits:
        print_indented(console, splits, 4)


def _split_text(split: "SplitState") -> str:
    published = "" if split.published is None else f" ({split.published:,})"
    if split.samples is None:
        return f"{split.split}: not ingested{published}"
    set_aside = f", {split.rejects:,} set aside" if split.rejects else ""
    return f"{split.split}: {split.samples:,}{published}{set_aside}"


def _print_experiments(console: "Console", diagnosis: "Diagnosis") -> None:
    """Print the experiments that can run, then what the others lack: equal things once, with the command for each."""
    from t2s_pipeline.commands.printing import print_indented

    ready = [experiment.name for experiment in diagnosis.experiments if experiment.can_run]
    if ready:
        console.print("\nReady to train", style="bold green")
        print_indented(console, ", ".join(ready))
    missing = [complaint for complaint in diagnosis.complaints if complaint.shortage.blocks]
    warnings = [complaint for complaint in diagnosis.complaints if not complaint.shortage.blocks]
    for title, complaints in (("Missing", missing), ("Warnings", warnings)):
        if complaints:
            console.print(f"\n{title}", style="bold")
        for complaint in complaints:
            _print_complaint(console, complaint, len(diagnosis.experiments))


def _print_complaint(console: "Console", complaint: "Complaint", count: int) -> None:
    from t2s_pipeline.commands.printing import print_command, print_indented

    shortage, names = complaint.shortage, complaint.experiments
    print_indented(console, f"{shortage.sentence}.", style="red" if shortage.blocks else "yellow")
    print_command(console, shortage.command)
    if len(names) == count:
        whom = "every experiment"
    elif len(names) <= NAMED:
        whom = ", ".join(names)
    else:
        whom = f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more (--json lists them)"
    print_indented(console, f"for {whom}", 4, "dim")
