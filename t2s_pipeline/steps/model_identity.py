"""Which model a name stands for, so that two names of one model are equal and no other model passes for it.

A title is a name as tables and recorded settings show it: the name of a published model is true there, and other
weights under such a name have another title (``training/model_names.py``). What a person types becomes a title here
without being written into ``models.toml``.
"""

import os
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.prompters import weights
from t2s_pipeline.prompters.families import published_model
from t2s_pipeline.segmenters import registry
from t2s_pipeline.segmenters.registry import SEGMENTERS, PublishedFile, find_segmenter
from t2s_pipeline.steps.fingerprints import known_sha256

FOLDER = "folder "
"""Stands before the name of a folder without a name, so that no folder has the name of a published model."""
_DIGITS = 8


def prompter_title(name_or_path: str) -> str:
    """The title of a prompter; ``folder <name>`` for a folder that is not in ``models.toml``, such as a checkpoint."""
    entry = weights.entry_of(name_or_path)
    if entry is not None:
        return entry.title
    path = home_expanded(name_or_path)
    return f"{FOLDER}{path.resolve().name}" if os.path.isdir(path) else name_or_path


def recorded_prompter(text: str) -> str:
    """The title in recorded settings. Earlier releases recorded a folder's path, whose weights may have changed."""
    return f"{FOLDER}{Path(text).name}" if home_expanded(text).is_absolute() else text


def same_prompter(title: str, other: str) -> bool:
    """Whether two titles stand for one model. A published model has several: its name and its Hub id."""
    return _prompter(title) == _prompter(other)


def _prompter(title: str) -> str:
    published = None if title.startswith(FOLDER) else published_model(title)
    return f"{published.hub_id}@{published.revision}" if published else title


def segmenter_title(name_or_path: str) -> str:
    """The title of a segmenter; with the start of the weights' hash if they are not those of the name."""
    entry = registry.entry_of(name_or_path)
    if entry is not None:
        return entry.title
    try:
        segmenter, file = find_segmenter(name_or_path)
    except InputError:
        return name_or_path  # the title of a model that is not on this machine
    if file is None:
        return segmenter.name
    sha256 = known_sha256(name_or_path)
    original = (
        segmenter.weights.sha256 if isinstance(segmenter.weights, PublishedFile) else known_sha256(segmenter.name)
    )
    return segmenter.name if sha256 == original else f"{segmenter.name}-{sha256[:_DIGITS] or 'unknown'}"


def recorded_segmenter(text: str) -> str:
    """The title in recorded settings. Earlier releases recorded the path of a file, which is looked at now."""
    return text if text in SEGMENTERS else segmenter_title(text)
