"""`t2s experiments`: every named training, what it changes, and what the paper says of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.methods.experiment import Experiment


def experiments(
    name: Annotated[str | None, typer.Argument(help="One of them, to see all of its settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: every setting of every experiment.")] = False,
) -> None:
    """List the named experiments with their published results, or show one's settings."""
    import json

    from t2s_pipeline.methods.experiments import EXPERIMENTS, experiment

    if as_json:
        chosen = [experiment(name)] if name else EXPERIMENTS.values()
        print(json.dumps([{**one.as_json(), "fingerprint": one.fingerprint} for one in chosen], indent=1))
    elif name:
        _show(experiment(name))
    else:
        _list(Settings.from_env())


def _list(settings: Settings) -> None:
    from rich.console import Console
    from rich.table import Table

    from t2s_pipeline.methods.experiments import EXPERIMENTS, ZERO_SHOT
    from t2s_pipeline.training import checkpoints

    published = _published()
    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = ("experiment", "table", "prompter", "segmenter", "prompts", "val gIoU/cIoU", "test gIoU/cIoU", "here")
    for heading in headings:
        table.add_column(heading, justify="right" if "IoU" in heading else "left", overflow="fold")
    for run in [*EXPERIMENTS.values(), *ZERO_SHOT]:
        base = ZERO_SHOT[run] if isinstance(run, str) else run
        name = run if isinstance(run, str) else run.name
        tables, numbers = published.get(name, ("", {}))
        last = None if isinstance(run, str) else checkpoints.latest(settings.runs / name)
        state = "untrained" if isinstance(run, str) else "" if last is None else f"step {last.step}/{last.steps}"
        cells = [
            " / ".join(f"{numbers[split, metric]:.2f}" for metric in ("giou", "ciou") if (split, metric) in numbers)
            for split in ("val", "test")
        ]
        prompter = base.prompter.rpartition("/")[2].removesuffix("-Instruct")
        table.add_row(name, tables, prompter, base.segmenter, base.recipe.combination, *cells, state)
    console = Console()
    console.print(table)
    console.print(
        "Numbers are the paper's, in percent (EarthReason). t2s experiments NAME shows settings, t2s plan NAME what "
        "it takes, t2s train NAME trains it; NAME-seed1 is the same with another seed.",
        style="dim",
    )


def _published() -> dict[str, tuple[str, dict[tuple[str, str], float]]]:
    """By system: the tables it stands in, and its numbers on EarthReason by split and metric."""
    from t2s_pipeline.evaluation.published import published_metrics

    rows = published_metrics().to_pylist()
    found: dict[str, tuple[str, dict[tuple[str, str], float]]] = {}
    for name in dict.fromkeys(row["measured_as"] for row in rows):
        own = [row for row in rows if row["measured_as"] == name]
        tables = sorted({row["paper_table"] for row in own})
        numbers = {(row["split"], row["metric"]): row["value"] for row in own if row["dataset"] == "earthreason"}
        found[name] = ", ".join(map(str, tables)), numbers
    return found


def _show(experiment: "Experiment") -> None:
    """Every setting as ``--set`` takes it."""
    from rich.console import Console

    console = Console(highlight=False)
    for key, value in _flat(experiment.as_json(), ""):
        console.print(f"[bold]{key}[/bold]={value}", soft_wrap=True)
    console.print(f"fingerprint of what is learned: {experiment.fingerprint[:12]}", style="dim")


def _flat(settings: dict, prefix: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in settings.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found
