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
        bool,
        typer.Option(
            "--fresh", help="Begin anew, even if the run is finished or was interrupted. The earlier run is kept."
        ),
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

    An interrupted run continues from its last checkpoint, with the settings of its first start and those given now. A
    finished run stays as it is. Only --fresh, or a yes at the terminal, begins a run anew; the earlier one is kept. For
    several machines, run the same command on each, with
    its own --node-rank and with one T2S_HOME that all machines share.
    """
    from t2s_pipeline.commands.instance import prepare
    from t2s_pipeline.training.continuation import settings_to_train
    from t2s_pipeline.training.presets import with_preset

    settings = Settings.from_env()
    settings.require_worker()
    overrides = with_preset(preset, [*(override or []), *([f"compute.nodes={nnodes}"] if nnodes > 1 else [])])
    target = settings_to_train(settings, name, overrides, fresh)
    if target.run != name:
        raise InputError(f"These settings are of the run {target.run}. Use its name: t2s train {target.run}")

    meeting = ["--node-rank", str(node_rank), "--rendezvous", rendezvous] if target.compute.nodes > 1 else []
    if node_rank > 0:
        _join(settings, name, overrides, meeting, fresh)
        return
    fresh = fresh or _begins_anew(settings, name, overrides)
    config = {"overrides": overrides, "fresh": fresh, "rendezvous": rendezvous}
    environment = prepare(settings)
    # The library does not import dagster: this process is replaced by one that does. Signals reach it directly.
    sys.stdout.flush()
    os.chdir(REPO)
    command = [sys.executable, "-m", "t2s_pipeline.commands.processes.training", name, json.dumps(config)]
    os.execve(sys.executable, command, environment)


def _begins_anew(settings: Settings, name: str, overrides: list[str]) -> bool:
    """Ask a person at a terminal what to do with a run that has other settings. Without a terminal, it is kept."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.steps.training import Train
    from t2s_pipeline.worker.launcher import plain_launch

    reasons = Train(name, tuple(overrides)).other_settings(Runner(settings, plain_launch(settings)))
    if not reasons:
        return False
    print(f"There is a run {name} with other settings: {'; '.join(reasons)}.")
    return typer.confirm("Begin anew? The earlier run is kept in T2S_HOME/runs/.replaced.", default=False)


def _join(settings: Settings, name: str, overrides: list[str], meeting: list[str], fresh: bool) -> None:
    """Train on this machine as part of a run that machine 0 leads; nothing is decided or recorded here."""
    from t2s_pipeline.worker.launcher import plain_launch

    options = [word for override in overrides for word in ("--set", override)]
    anew = ["--fresh"] if fresh else []
    plain_launch(settings)(["train", "--experiment", name, *options, *anew, *meeting, "--home", str(settings.home)])
