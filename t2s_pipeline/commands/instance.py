"""Where Dagster keeps its history: T2S_HOME/dagster, with our dagster.yaml in it."""

import os
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.settings import REPO, Settings


def dagster_home(settings: Settings) -> Path:
    return settings.home / "dagster"


def prepare(settings: Settings) -> dict[str, str]:
    """Make DAGSTER_HOME ready and return the environment for a process that uses it.

    Raises:
        T2SError: if the disk is full.
    """
    home = dagster_home(settings)
    wanted = (REPO / "dagster.yaml").read_bytes()
    settled = home / "dagster.yaml"
    if not settled.is_file() or settled.read_bytes() != wanted:
        with atomic_file(settled) as temporary:
            temporary.write_bytes(wanted)
    # Dagster greets a new instance with a newsletter dialog over the graph unless this file exists.
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
