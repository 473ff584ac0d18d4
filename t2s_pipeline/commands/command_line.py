"""All commands of `t2s`, as typer reads them.

To add a command: write `t2s_pipeline/commands/<verb>.py` with a function of that name, and add the name to `VERBS`. Of
these modules, only that of the called command is imported; `t2s --help` imports all of them. So a command imports large
packages inside its function.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

VERBS = (
    "demo",
    "ui",
    "doctor",
    "ask",
    "questions",
    "app",
    "ingest",
    "export_dataset",
    "label",
    "judge",
    "experiments",
    "plan",
    "train",
    "export",
    "evaluate",
    "score",
    "summarize",
    "report",
    "leaderboard",
    "compare",
    "abstain",
    "sql",
    "tables",
    "database",
)
"""The commands, in the order in which `t2s --help` lists them: modules of `t2s_pipeline/commands`. For `_`, people type
`-`."""

GROUP_VERBS = ("scenes", "models", "lake", "studies")
"""Commands of two words, such as `t2s lake upgrade`; `t2s --help` lists them after the others."""


def commands() -> tuple[Callable[..., None], ...]:
    """The functions of ``VERBS``."""
    return tuple(_attribute_of_its_name(verb) for verb in VERBS)


def groups() -> tuple[typer.Typer, ...]:
    """The groups of ``GROUP_VERBS``."""
    return tuple(_attribute_of_its_name(verb) for verb in GROUP_VERBS)


def _attribute_of_its_name(verb: str) -> Any:
    return getattr(import_module(f"t2s_pipeline.commands.{verb}"), verb)


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"t2s {version('t2s-pipeline')}")
        except PackageNotFoundError:
            print("t2s, run from a checkout that is not installed")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """The command line with the command that the words begin with; with all commands if they begin with none."""
    app = typer.Typer(
        name="t2s",
        no_args_is_help=True,
        add_completion=False,
        # Importing rich takes longer than everything else that the help needs.
        rich_markup_mode=None,
        context_settings={"max_content_width": 120},
        pretty_exceptions_enable=False,
        help="Reasoning segmentation in remote sensing: benchmarks, GRPO training, evaluation, results."
        "\n\nAll files are written to the folder T2S_HOME (default: ./data). T2S_LAKE=s3://BUCKET/PREFIX puts the "
        "tables on an object store.",
    )
    app.callback()(_root)
    verb = words[0].replace("-", "_") if words else ""
    if verb in VERBS:
        app.command()(_attribute_of_its_name(verb))
        return app
    for command in commands():
        app.command()(command)
    for group in groups():
        app.add_typer(group)
    return app
