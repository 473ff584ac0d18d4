"""`t2s export`: a trained prompter as a folder for anybody's transformers."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def export(
    run: Annotated[str, typer.Argument(metavar="RUN[@STEP]", help="A training run, and which of its checkpoints.")],
    folder: Annotated[Path, typer.Argument(help="To be made; it must be new or empty.")],
    adapters: Annotated[bool, typer.Option("--adapters", help="LoRA: only the adapters, not merged.")] = False,
    full: Annotated[bool, typer.Option("--float32", help="Weights as they were trained, not in bfloat16.")] = False,
) -> None:
    """Write weights (safetensors), processor and model card; plain transformers loads the folder."""
    from t2s_pipeline.worker.launcher import plain_launch

    settings = Settings.from_env()
    options = ["--keep-adapters"] if adapters else []
    dtype = "float32" if full else "bfloat16"
    where = ["--home", str(settings.home), "--device", "cpu"]
    plain_launch(settings)(["export", run, str(folder.expanduser().resolve()), "--dtype", dtype, *options, *where])
