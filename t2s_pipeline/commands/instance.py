"""The folder of Dagster's history: DAGSTER_HOME, else T2S_HOME/dagster with a copy of our dagster.yaml."""

import os
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.settings import REPO, Settings


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's history: the one that DAGSTER_HOME names, else one below T2S_HOME."""
    named = os.environ.get("DAGSTER_HOME")
    return Path(named).expanduser().resolve() if named else settings.home / "dagster"


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
