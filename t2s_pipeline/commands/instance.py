"""The folder of Dagster's history: DAGSTER_HOME, else T2S_HOME/dagster with a copy of our dagster.yaml."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import REPO, Settings


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's history: the one that DAGSTER_HOME names, else one below T2S_HOME."""
    named = os.environ.get("DAGSTER_HOME")
    return home_expanded(named).resolve() if named else settings.home / "dagster"


DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""The databases of Dagster's history, below its folder."""


@contextmanager
def creating_history(settings: Settings) -> Iterator[None]:
    """Hold the lock of the creation of Dagster's history."""
    with only_one(dagster_home(settings), "the creation of Dagster's history"):
        yield


def create_history(settings: Settings, environment: Mapping[str, str]) -> None:
    """Create Dagster's history if it is missing. Several processes may then open it at the same time.

    Args:
        settings: where everything is.
        environment: what ``prepare`` returned.

    Raises:
        T2SError: if it cannot be created.
    """
    home = dagster_home(settings)
    with creating_history(settings):
        # A dagster.yaml of your own may keep the history elsewhere.
        if all((home / name).is_file() for name in DATABASES):
            return
        command = [sys.executable, "-m", "t2s_pipeline.commands.processes.history"]
        done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise T2SError(f"Dagster's history in {home} cannot be created: {lines[-1] if lines else done.returncode}")


def prepare(settings: Settings) -> dict[str, str]:
    """Prepare Dagster's folder and return the environment variables of a process that uses it.

    The folder below T2S_HOME gets our dagster.yaml. A folder of your own keeps its dagster.yaml, and gets ours only if
    it has none.

    Raises:
        T2SError: if the disk is full.
    """
    home = dagster_home(settings)
    configuration = (REPO / "dagster.yaml").read_bytes()
    target = home / "dagster.yaml"
    ours = home == settings.home / "dagster"
    if not target.is_file() or (ours and target.read_bytes() != configuration):
        with atomic_file(target) as temporary:
            temporary.write_bytes(configuration)
    # Without this file, Dagster shows a newsletter dialog over the graph of a new instance.
    (home / ".nux").mkdir(exist_ok=True)
    (home / ".nux" / "nux.yaml").touch()
    paths = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "T2S_HOME": str(settings.home),
        "T2S_WORKER_PYTHON": str(settings.worker_python),
        "PYTHONPATH": os.pathsep.join(paths),
    }
