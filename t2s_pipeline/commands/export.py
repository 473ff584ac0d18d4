"""`t2s export`: write a trained prompter as a folder that plain transformers can load."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@STEP]", help="A training run, and the step of its checkpoint. Default: the last one."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="The folder to write. It must be new or empty.")],
    adapters: Annotated[
        bool, typer.Option("--adapters", help="For a run with LoRA: write only the adapters, not the merged model.")
    ] = False,
    full: Annotated[bool, typer.Option("--float32", help="Write float32 weights instead of bfloat16.")] = False,
) -> None:
    """Write weights (safetensors), processor and model card to a folder that plain transformers can load."""
    from t2s_pipeline.worker.launcher import plain_launch

    settings = Settings.from_env()
    options = ["--keep-adapters"] if adapters else []
    dtype = "float32" if full else "bfloat16"
    where = ["--home", str(settings.home), "--device", "cpu"]
    plain_launch(settings)(["export", run, str(home_expanded(folder).resolve()), "--dtype", dtype, *options, *where])
