"""`t2s doctor`: what is here, where, and what is missing for what."""

from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from t2s_pipeline.steps.diagnosis import Diagnosis, SplitState


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List the benchmarks that were found and where, and what each experiment lacks to run here."""
    from t2s_pipeline.steps.diagnosis import diagnose

    found = diagnose(Settings.from_env())
    if as_json:
        import dataclasses
        import json

        print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
    else:
        _show(found)


def _show(found: "Diagnosis") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if Console().is_terminal else 200, soft_wrap=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("dataset", "found", "in the lake: samples (published), set aside"):
        table.add_column(heading, overflow="fold")
    for each in found.datasets:
        where = Text(f"{each.root}  ({each.origin})") if each.root else Text(each.fault or "", style="red")
        table.add_row(each.key, where, Text("\n".join(map(_worded, each.splits)) or "-"))
    console.print(table)
    console.print()
    _show_experiments(console, found)


def _worded(split: "SplitState") -> str:
    published = "" if split.published is None else f" ({split.published:,})"
    if split.samples is None:
        return f"{split.split}: not read{published}"
    aside = f", {split.rejects:,} set aside" if split.rejects else ""
    return f"{split.split}: {split.samples:,}{published}{aside}"


def _show_experiments(console: "Console", found: "Diagnosis") -> None:
    """Experiments that lack the same things are told together."""
    from rich.text import Text

    ready = [one.name for one in found.experiments if not one.missing]
    if ready:
        console.print(Text(f"Ready: {', '.join(ready)}", style="green"))
    together: dict[tuple[str, ...], list[str]] = {}
    for one in found.experiments:
        if one.missing:
            together.setdefault(one.missing, []).append(one.name)
    for missing, names in together.items():
        console.print(Text(", ".join(names), style="bold"))
        for sentence in missing:
            console.print(Text(f"  missing: {sentence}"))
