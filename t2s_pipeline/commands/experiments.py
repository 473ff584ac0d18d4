"""`t2s experiments`: list the named experiments with the paper's results, or show the settings of one."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.settings import Settings

WIDTH_WITH_MODELS = 130
"""Columns of a terminal from which on the list also shows the models of each experiment."""

if TYPE_CHECKING:
    from t2s_pipeline.methods.experiment import Experiment


def experiments(
    name: Annotated[str | None, typer.Argument(help="An experiment, to show all of its settings.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every setting of every experiment as JSON, for programs.")
    ] = False,
) -> None:
    """List the named experiments with their published results, or show the settings of one."""
    import json

    from t2s_pipeline.methods.experiments import EXPERIMENTS, experiment

    if as_json:
        listed = [experiment(name)] if name else list(EXPERIMENTS.values())
        print(json.dumps([{**item.as_json(), "fingerprint": item.fingerprint} for item in listed], indent=1))
    elif name:
        _show(experiment(name))
    else:
        _list(Settings.from_env())


@dataclass
class PublishedResult:
    """What the paper says of one system: the tables that list it, and its numbers on EarthReason in percent."""

    tables: set[int] = field(default_factory=set)
    numbers: dict[tuple[str, str], float] = field(default_factory=dict)
    """By split and metric."""

    def cell(self, split: str) -> str:
        """GIoU and cIoU of a split, as far as the paper gives them."""
        pairs = [(split, metric) for metric in ("giou", "ciou")]
        return "/".join(f"{self.numbers[pair]:.2f}" for pair in pairs if pair in self.numbers)


def _list(settings: Settings) -> None:
    from t2s_pipeline.commands.printing import VisibleConsole, text_table
    from t2s_pipeline.methods.experiments import EXPERIMENTS, READY, ZERO_SHOT
    from t2s_pipeline.training import checkpoints

    published = _published()
    console = VisibleConsole()
    # Where the models do not fit beside the numbers, `t2s experiments NAME` shows them.
    models = ("prompter", "segmenter", "prompts") if console.width >= WIDTH_WITH_MODELS else ()
    table = text_table(("experiment", "tables", *models, "val", "test", "step"), right=("val", "test", "step"))
    table.columns[0].no_wrap = True
    table.padding = (0, 1, 0, 0)
    for name, experiment in {**EXPERIMENTS, **READY}.items():
        result = published.get(name, PublishedResult())
        checkpoint = checkpoints.latest(settings.runs / name)
        state = "" if checkpoint is None else f"{checkpoint.step}/{checkpoint.steps}"
        prompter = experiment.prompter.rpartition("/")[2].removesuffix("-Instruct")
        table.add_row(
            name,
            ",".join(map(str, sorted(result.tables))),
            *((prompter, experiment.segmenter, experiment.recipe.combination) if models else ()),
            result.cell("val"),
            result.cell("test"),
            "untrained" if name in ZERO_SHOT else "released" if name in READY else state,
        )
    console.print(table)
    console.print(
        "val and test: gIoU/cIoU on EarthReason as the paper's preprint prints them, in percent. "
        "step: of the last checkpoint here. "
        "t2s experiments NAME shows the settings, t2s plan NAME "
        "estimates memory and time, t2s train NAME trains. NAME-seed1 is the same experiment with seed 1.",
        style="dim",
    )


def _published() -> dict[str, PublishedResult]:
    """The paper's results by the name of the system."""
    from t2s_pipeline.lake.published import published_metrics

    results: dict[str, PublishedResult] = {}
    for row in published_metrics().to_pylist():
        result = results.setdefault(row["measured_as"], PublishedResult())
        result.tables.add(row["paper_table"])
        # The journal's edition is known for one row only, so the numbers beside each other are the preprint's.
        if row["dataset"] == "earthreason" and row["edition"] == "preprint":
            result.numbers[row["split"], row["metric"]] = row["value"]
    return results


def _show(experiment: "Experiment") -> None:
    """Print every setting in the form that ``--set`` takes."""
    from t2s_pipeline.commands.printing import VisibleConsole
    from t2s_pipeline.core.overrides import flat

    console = VisibleConsole(highlight=False)
    for key, value in flat(experiment.as_json()).items():
        console.print(f"[bold]{key}[/bold]={value}", soft_wrap=True)
    console.print(f"fingerprint of what is learned: {experiment.fingerprint[:12]}", style="dim")
