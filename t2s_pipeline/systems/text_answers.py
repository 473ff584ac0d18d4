"""Systems whose answers were taken in as texts: the experiment whose prompt combination and segmenter read them.

Each is one file ``T2S_HOME/systems/<name>.json``.
"""

import json
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import is_name
from t2s_pipeline.core.settings import Settings


def remember(settings: Settings, name: str, experiment: str) -> None:
    """Store the experiment whose settings a system's texts are read with."""
    with atomic_file(_file(settings, name)) as temporary:
        temporary.write_text(json.dumps({"experiment": experiment}) + "\n")


def answers_as(settings: Settings, name: str) -> str | None:
    """The experiment whose settings a system's texts are read with; None for a name that is not stored.

    Raises:
        InputError: if the file is damaged.
    """
    path = _file(settings, name)
    if not is_name(name) or not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text("utf-8"))["experiment"])
    except (ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{path} is damaged ({fault}): remove it and score {name} again.") from fault


def _file(settings: Settings, name: str) -> Path:
    return settings.home / "systems" / f"{name}.json"
