"""The command line `t2s`: one command per verb, with readable output and an exit code.

Exit codes: 0 success; 1 a fault that a user can repair, described in one line on stderr; 2 a wrong option;
130 interrupted.

To add a command: write `t2s_pipeline/commands/<verb>.py` and add its function to `COMMANDS`. A command imports large
packages inside its function, so that `t2s --help` stays fast.
"""

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from t2s_pipeline.commands.abstain import abstain
from t2s_pipeline.commands.app import app as app_command
from t2s_pipeline.commands.ask import ask
from t2s_pipeline.commands.compare import compare
from t2s_pipeline.commands.database import database
from t2s_pipeline.commands.demo import demo
from t2s_pipeline.commands.doctor import doctor
from t2s_pipeline.commands.evaluate import evaluate
from t2s_pipeline.commands.experiments import experiments
from t2s_pipeline.commands.export import export
from t2s_pipeline.commands.export_dataset import export_dataset
from t2s_pipeline.commands.ingest import ingest
from t2s_pipeline.commands.judge import judge
from t2s_pipeline.commands.label import label
from t2s_pipeline.commands.lake import lake
from t2s_pipeline.commands.leaderboard import leaderboard
from t2s_pipeline.commands.models import models
from t2s_pipeline.commands.plan import plan
from t2s_pipeline.commands.questions import questions
from t2s_pipeline.commands.report import report
from t2s_pipeline.commands.scenes import scenes
from t2s_pipeline.commands.score import score
from t2s_pipeline.commands.sql import sql
from t2s_pipeline.commands.summarize import summarize
from t2s_pipeline.commands.tables import tables
from t2s_pipeline.commands.train import train
from t2s_pipeline.commands.ui import ui
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import shortened, visible

COMMANDS: tuple[Callable[..., None], ...] = (
    demo,
    ui,
    doctor,
    ask,
    questions,
    app_command,
    ingest,
    export_dataset,
    label,
    judge,
    experiments,
    plan,
    train,
    export,
    evaluate,
    score,
    summarize,
    report,
    leaderboard,
    compare,
    abstain,
    sql,
    tables,
    database,
)
"""The commands, in the order in which `t2s --help` lists them."""

GROUPS: tuple[typer.Typer, ...] = (scenes, models, lake)
"""Commands of two words, such as `t2s lake upgrade`; `t2s --help` lists them after the others."""

app = typer.Typer(
    name="t2s",
    no_args_is_help=True,
    add_completion=False,
    # Importing rich takes longer than everything else that the help needs.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
    pretty_exceptions_enable=False,
    help="Reasoning segmentation in remote sensing: benchmarks, GRPO training, evaluation, results."
    "\n\nAll files are written to the folder T2S_HOME (default: ./data).",
)


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"t2s {version('t2s-pipeline')}")
        except PackageNotFoundError:
            print("t2s, run from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _command in COMMANDS:
    app.command()(_command)
for _group in GROUPS:
    app.add_typer(_group)


def main() -> None:
    """Run the command line. A fault that a user can repair becomes one line on stderr and exit code 1."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal of another encoding shows \xfc for a character that it lacks, and not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="t2s")
    except T2SError as error:
        fail(str(error))
    except OSError as error:
        # A path that cannot be written, is a folder, or is on a disk that was removed. Any other case is a bug of ours.
        if error.errno is None:
            raise
        path = error.filename2 or error.filename
        fail(f"{f'{path}: ' if path else ''}{error.strerror}. T2S_HOME is {Settings.from_env().home}.")
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str) -> None:
    """Print one line on stderr and exit with code 1."""
    print(f"t2s: {visible(shortened(' '.join(message.split())))}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
