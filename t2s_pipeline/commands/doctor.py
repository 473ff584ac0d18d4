"""`t2s doctor`: show the datasets on this machine and what each experiment still needs."""

from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from t2s_pipeline.steps.diagnosis import Diagnosis, ExperimentState, SplitState


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """List the datasets on this machine and their folders, and what each experiment still needs to run here."""
    from t2s_pipeline.steps.diagnosis import diagnose

    diagnosis = diagnose(Settings.from_env())
    if as_json:
        import dataclasses
        import json

        print(json.dumps(dataclasses.asdict(diagnosis), indent=1, ensure_ascii=False))
    else:
        _print(diagnosis)


def _print(diagnosis: "Diagnosis") -> None:
    from rich.text import Text

    from t2s_pipeline.commands.printing import text_table, wide_console

    console = wide_console()
    table = text_table(("dataset", "folder", "in the lake: samples (published), set aside"))
    for dataset in diagnosis.datasets:
        folder = f"{dataset.root}  ({dataset.origin})" if dataset.root else None
        cell = Text(folder) if folder else Text(dataset.fault or "", style="red")
        table.add_row(dataset.key, cell, Text("\n".join(map(_split_line, dataset.splits)) or "-"))
    console.print(table)
    console.print()
    _print_experiments(console, diagnosis.experiments)
    models = diagnosis.models
    console.print()
    console.print(Text(f"Prompters: {', '.join(models.prompters)}"))
    console.print(Text(f"Families of other prompters: {', '.join(models.prompter_families)}"))
    console.print(Text(f"Segmenters: {', '.join(models.segmenters)}"))


def _split_line(split: "SplitState") -> str:
    published = "" if split.published is None else f" ({split.published:,})"
    if split.samples is None:
        return f"{split.split}: not ingested{published}"
    set_aside = f", {split.rejects:,} set aside" if split.rejects else ""
    return f"{split.split}: {split.samples:,}{published}{set_aside}"


def _print_experiments(console: "Console", experiments: "Sequence[ExperimentState]") -> None:
    """Print the experiments that can run; then the others, in groups that need the same things."""
    from rich.text import Text

    ready = [experiment.name for experiment in experiments if not experiment.missing]
    if ready:
        console.print(Text(f"Ready: {', '.join(ready)}", style="green"))
    groups: dict[tuple[str, ...], list[str]] = {}
    for experiment in experiments:
        if experiment.missing:
            groups.setdefault(experiment.missing, []).append(experiment.name)
    for missing, names in groups.items():
        console.print(Text(", ".join(names), style="bold"))
        for sentence in missing:
            console.print(Text(f"  missing: {sentence}"))
