"""`t2s train`: run the Dagster job `training` for one experiment from a terminal."""

import json
import os
import sys
from typing import Annotated

import typer

from t2s_pipeline.commands.plan import Overrides, PresetName
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO, Settings


def train(
    name: Annotated[
        str, typer.Argument(help="An experiment: see t2s experiments. NAME-seed1 is the same experiment with seed 1.")
    ],
    override: Overrides = None,
    preset: PresetName = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start again, even if the run is finished or was interrupted.")
    ] = False,
    nnodes: Annotated[int, typer.Option(min=1, help="Number of machines that train together.")] = 1,
    node_rank: Annotated[
        int, typer.Option(min=0, help="Index of this machine. Machine 0 leads the run and reports.")
    ] = 0,
    rendezvous: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address of machine 0, where the machines connect.")
    ] = "",
) -> None:
    """Train the prompter of an experiment with GRPO. It is the same as its partition in the web UI.

    An interrupted run continues from its last checkpoint. For several machines, run the same command on each, with
    its own --node-rank and with one T2S_HOME that all machines share.
    """
    from t2s_pipeline.commands.instance import prepare
    from t2s_pipeline.methods.experiments import experiment
    from t2s_pipeline.training.presets import with_preset

    settings = Settings.from_env()
    settings.require_worker()
    overrides = with_preset(preset, [*(override or []), *([f"compute.nodes={nnodes}"] if nnodes > 1 else [])])
    target = experiment(name, overrides)
    if target.run != name:
        raise InputError(f"These settings are of the run {target.run}. Use its name: t2s train {target.run}")

    meeting = ["--node-rank", str(node_rank), "--rendezvous", rendezvous] if target.compute.nodes > 1 else []
    if node_rank > 0:
        _join(settings, name, overrides, meeting)
        return
    config = {"overrides": overrides, "fresh": fresh, "rendezvous": rendezvous}
    environment = prepare(settings)
    # The library does not import dagster: this process is replaced by one that does. Signals reach it directly.
    sys.stdout.flush()
    os.chdir(REPO)
    command = [sys.executable, "-m", "t2s_pipeline.commands.processes.training", name, json.dumps(config)]
    os.execve(sys.executable, command, environment)


def _join(settings: Settings, name: str, overrides: list[str], meeting: list[str]) -> None:
    """Train on this machine as part of a run that machine 0 leads; nothing is decided or recorded here."""
    from t2s_pipeline.worker.launcher import plain_launch

    options = [word for override in overrides for word in ("--set", override)]
    plain_launch(settings)(["train", "--experiment", name, *options, *meeting, "--home", str(settings.home)])
