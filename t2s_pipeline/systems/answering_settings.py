"""The settings that a checkpoint without our marker answers with: its export's own, or those that a person states.

``experiment.json`` is written by ``t2s export``. ``evaluate.json`` is written by a person. It names an experiment, and
can change settings of answering. Beside ``experiment.json`` it need not name one::

    {"experiment": "think2seg-rs-3b", "step": 400, "segmenter": "/models/sam2.1_hiera_small.pt",
     "generation": {"max_new_tokens": 512}}
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import is_there, outside_object, path_inside, shown
from t2s_pipeline.core.overrides import flat
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training.checkpoints import ANSWERS_AS, EXPORTED, MARKER

GROUPS = ("prompter", "segmenter", "recipe", "generation", "dataset")
"""The settings of an experiment that decide how a system answers. The others decide how it is trained."""


@dataclass(frozen=True)
class AnsweringSettings:
    """How a checkpoint answers.

    Attributes:
        experiment: whose settings apply.
        step: the training step, 0 if it is not known.
        template: the file with the text that the checkpoint is asked with; None for our own instruction.
    """

    experiment: Experiment
    step: int
    template: Path | None


def answering_settings(folder: Path, stated_in: Path) -> AnsweringSettings:
    """The settings of a checkpoint.

    Args:
        folder: the folder with the weights.
        stated_in: the folder with ``evaluate.json``.

    Raises:
        InputError: if no file states them, or one of the files is damaged.
    """
    content = _content(stated_in / ANSWERS_AS)
    name, step, template = content.pop("experiment", None), content.pop("step", 0), content.pop("template", "")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise InputError(f"{ANSWERS_AS}: step {shown(step)} is no whole number")
    if not isinstance(template, str):
        raise InputError(f"{ANSWERS_AS}: template {shown(template)} is no name of a file")
    if not isinstance(name, str | None):
        raise InputError(f'{ANSWERS_AS} must be like {{"experiment": "think2seg-rs-3b"}}')
    if name is not None:
        stated = experiment(name)
    elif is_there(folder / EXPORTED):
        stated = Experiment.from_json(_content(folder / EXPORTED))
    else:
        raise InputError(
            f"it has neither our marker {MARKER} nor {EXPORTED} of t2s export, and no {ANSWERS_AS} that names "
            'its settings: say as which experiment it answers, for example {"experiment": "think2seg-rs-3b"}'
        )
    if isinstance(content.get("segmenter"), str) and os.path.isfile(stated_in / content["segmenter"]):
        content["segmenter"] = str(stated_in / content["segmenter"])
    asked_with = path_inside(stated_in, template) if template else None
    texts = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in flat(content).items()]
    return AnsweringSettings(with_answering(stated, texts), step, asked_with)


def with_answering(stated: Experiment, overrides: Iterable[str]) -> Experiment:
    """An experiment with changed settings of answering, such as ``segmenter=my-sam``.

    Raises:
        InputError: for a setting that decides how a system is trained, an unknown one, or a value that does not fit.
    """
    overrides = list(overrides)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key.partition(".")[0] not in GROUPS:
            raise InputError(f"{key!r} does not change how a system answers: use {', '.join(GROUPS)} (with a dot).")
    return stated.with_overrides(overrides)


def _content(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file."""
    return outside_object(file) if is_there(file) else {}
