"""`t2s demo`: the Dagster job `demo`, run from a terminal, with its history where the web UI looks for it."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO, Settings


def demo(
    scenes: Annotated[
        Path | None, typer.Option(help="Evaluate this folder in EarthReason layout, not the embedded scenes.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Train and evaluate this seed; may be repeated.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Train only this method, e.g. think2seg; may be repeated.")
    ] = None,
    system: Annotated[list[str] | None, typer.Option(help="Evaluate only this system; may be repeated.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Redo finished work.")] = False,
    train_scenes: Annotated[int, typer.Option(help="Embedded scenes to train on.")] = 1200,
    val_scenes: Annotated[int, typer.Option(help="Embedded scenes to validate on.")] = 200,
    test_scenes: Annotated[int, typer.Option(help="Embedded scenes to test on.")] = 200,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the training: grpo.steps=20; may be repeated.")
    ] = None,
) -> None:
    """Everything once: files, tables, training, completions, masks, scores, leaderboard, results page."""
    from t2s_pipeline.commands.instance import prepare
    from t2s_pipeline.datasets.registry import splits_of
    from t2s_pipeline.methods.recipe import RECIPES

    settings = Settings.from_env()
    settings.require_worker()
    if scenes is not None:
        splits_of(scenes)
    methods = [name.removesuffix("-mini") for name in method or RECIPES]
    if unknown := set(methods) - set(RECIPES):
        raise InputError(f"There is no method {min(unknown)!r}; there are {', '.join(RECIPES)}.")
    config = {
        "scenes": "" if scenes is None else str(scenes.expanduser().resolve()),
        "seeds": seed or [0],
        "methods": methods,
        "systems": system or [],
        "fresh": fresh,
        "train_scenes": train_scenes,
        "val_scenes": val_scenes,
        "test_scenes": test_scenes,
        "overrides": override or [],
    }
    # The library imports no dagster, so this process becomes the one that does; signals reach it directly.
    environment = prepare(settings)
    sys.stdout.flush()
    os.chdir(REPO)
    os.execve(sys.executable, [sys.executable, "-m", "t2s_pipeline.commands.run_demo", json.dumps(config)], environment)
