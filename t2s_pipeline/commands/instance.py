"""The folder of Dagster's history: T2S_HOME/dagster, with a copy of our dagster.yaml."""

import os
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.settings import REPO, Settings


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's history."""
    return settings.home / "dagster"


def prepare(settings: Settings) -> dict[str, str]:
    """Prepare Dagster's folder and return the environment variables of a process that uses it.

    Raises:
        T2SError: if the disk is full.
    """
    home = dagster_home(settings)
    configuration = (REPO / "dagster.yaml").read_bytes()
    target = home / "dagster.yaml"
    if not target.is_file() or target.read_bytes() != configuration:
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
