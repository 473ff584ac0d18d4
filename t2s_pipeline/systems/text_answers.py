"""Systems whose answers were taken in as texts: the experiment whose prompt combination and segmenter read them.

Each is one file ``T2S_HOME/systems/<name>.json``.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import is_name
from t2s_pipeline.core.outside_files import is_there, outside_object
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.systems.answering_settings import with_answering
from t2s_pipeline.training.model_names import segmenter_name


def remember(settings: Settings, name: str, experiment: str, overrides: Sequence[str] = ()) -> None:
    """Store the experiment whose settings a system's texts are read with, and the settings that are changed.

    Raises:
        InputError: if a path of a segmenter holds none.
    """
    pairs = [override.partition("=")[::2] for override in overrides]
    overrides = [f"{key}={segmenter_name(value) if key == 'segmenter' else value}" for key, value in pairs]
    with atomic_file(_file(settings, name)) as temporary:
        temporary.write_text(json.dumps({"experiment": experiment, "set": overrides}) + "\n")


def answers_as(settings: Settings, name: str) -> Experiment | None:
    """The settings that a system's texts are read with; None for a name that is not stored.

    Raises:
        InputError: if the file is damaged.
    """
    path = _file(settings, name)
    if not is_name(name) or not is_there(path):
        return None
    try:
        stored = outside_object(path)
        return with_answering(experiment(str(stored["experiment"])), map(str, stored.get("set", ())))
    except (InputError, KeyError, TypeError) as fault:
        raise InputError(f"{path} is damaged ({fault}): remove it and score {name} again.") from fault


def _file(settings: Settings, name: str) -> Path:
    return settings.home / "systems" / f"{name}.json"
