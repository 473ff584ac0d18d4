"""`t2s demo`: run the Dagster job `demo` from a terminal; the web UI shows the run in its history."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import REPO, Settings


def demo(
    scenes: Annotated[
        Path | None, typer.Option(help="Evaluate this folder in EarthReason's layout instead of the embedded scenes.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Train and evaluate with this seed. Can be repeated.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Train only this method, for example think2seg. Can be repeated.")
    ] = None,
    system: Annotated[list[str] | None, typer.Option(help="Evaluate only this system. Can be repeated.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
    train_scenes: Annotated[int, typer.Option(help="Number of embedded scenes for training.")] = 1200,
    val_scenes: Annotated[int, typer.Option(help="Number of embedded scenes for validation.")] = 200,
    test_scenes: Annotated[int, typer.Option(help="Number of embedded scenes for testing.")] = 200,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a training setting: grpo.steps=20. Can be repeated."),
    ] = None,
) -> None:
    """Run the whole pipeline: files, tables, training, completions, masks, scores, leaderboard, results page."""
    from t2s_pipeline.commands.instance import prepare
    from t2s_pipeline.datasets.earthreason import EARTHREASON
    from t2s_pipeline.datasets.registry import dataset_at
    from t2s_pipeline.methods.registry import embedded_methods

    settings = Settings.from_env()
    settings.require_worker()
    if scenes is not None:
        dataset_at(EARTHREASON.name, scenes)
    trainable = embedded_methods()
    methods = [name.removesuffix("-mini") for name in method or trainable]
    if unknown := set(methods) - set(trainable):
        raise InputError(f"There is no method {min(unknown)!r}. There are: {', '.join(trainable)}.")
    config = {
        "scenes": "" if scenes is None else str(home_expanded(scenes).resolve()),
        "seeds": seed or [0],
        "methods": methods,
        "systems": system or [],
        "fresh": fresh,
        "train_scenes": train_scenes,
        "val_scenes": val_scenes,
        "test_scenes": test_scenes,
        "overrides": override or [],
    }
    # The library does not import dagster: this process is replaced by one that does. Signals reach it directly.
    environment = prepare(settings)
    sys.stdout.flush()
    os.chdir(REPO)
    command = [sys.executable, "-m", "t2s_pipeline.commands.processes.demo", json.dumps(config)]
    os.execve(sys.executable, command, environment)
