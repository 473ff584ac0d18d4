"""`t2s train`: the Dagster job `training` for one experiment, run from a terminal."""

import json
import os
import sys
from typing import Annotated

import typer

from t2s_pipeline.commands.plan import Overrides, PresetName
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO, Settings


def train(
    name: Annotated[str, typer.Argument(help="An experiment (t2s experiments); NAME-seed1 is the same with a seed.")],
    override: Overrides = None,
    preset: PresetName = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever there is of this run.")] = False,
    nnodes: Annotated[int, typer.Option(min=1, help="Machines that train together.")] = 1,
    node_rank: Annotated[int, typer.Option(min=0, help="Which of them this is; 0 decides and reports.")] = 0,
    rendezvous: Annotated[str, typer.Option(metavar="HOST:PORT", help="Of node 0, where they meet.")] = "",
) -> None:
    """Train an experiment's prompter with GRPO; the same as its partition in the web UI.

    An interrupted run goes on from its last checkpoint. On several machines the same command is given on each, with
    its --node-rank and one T2S_HOME that all of them see.
    """
    from t2s_pipeline.commands.instance import prepare
    from t2s_pipeline.methods.experiments import experiment
    from t2s_pipeline.training.presets import with_preset

    settings = Settings.from_env()
    settings.require_worker()
    overrides = with_preset(preset, [*(override or []), *([f"compute.nodes={nnodes}"] if nnodes > 1 else [])])
    chosen = experiment(name, overrides)
    if chosen.run != name:
        raise InputError(f"This would be the run {chosen.run}: name it so (t2s train {chosen.run}), not by --set.")
    meeting = ["--node-rank", str(node_rank), "--rendezvous", rendezvous] if chosen.compute.nodes > 1 else []
    if node_rank > 0:
        _join(settings, name, overrides, meeting)
        return
    config = {"overrides": overrides, "fresh": fresh, "rendezvous": rendezvous}
    environment = prepare(settings)
    # The library imports no dagster, so this process becomes the one that does; signals reach it directly.
    sys.stdout.flush()
    os.chdir(REPO)
    command = [sys.executable, "-m", "t2s_pipeline.commands.run_training", name, json.dumps(config)]
    os.execve(sys.executable, command, environment)


def _join(settings: Settings, name: str, overrides: list[str], meeting: list[str]) -> None:
    """Give this machine's ranks to a run that node 0 leads: nothing to decide and nothing to record here."""
    from t2s_pipeline.worker.launcher import plain_launch

    words = [word for override in overrides for word in ("--set", override)]
    plain_launch(settings)(["train", "--experiment", name, *words, *meeting, "--home", str(settings.home)])
