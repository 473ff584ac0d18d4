"""Which model a name stands for, so that two names of one model are equal and a folder is no published model."""

import hashlib
from functools import cache
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompters.families import published_model
from t2s_pipeline.segmenters.registry import PublishedFile, find_segmenter

FOLDER = "folder "
"""Stands before the name of a folder, so that no folder has the name of a published model."""


def prompter_name(name_or_path: str) -> str:
    """The name of a prompter in the lake: what was given, or ``folder <name>`` for a folder, without its path."""
    path = Path(name_or_path).expanduser()
    return f"{FOLDER}{path.resolve().name}" if path.is_dir() else name_or_path


def prompter_identity(name: str) -> str:
    """The model that a name stands for: the Hub id with the commit for every name of a published model."""
    published = None if name.startswith(FOLDER) else published_model(name)
    return f"{published.hub_id}@{published.revision}" if published else name


def segmenter_sha256(name_or_path: str) -> str | None:
    """The SHA-256 of a segmenter's weights; None if they are not known: an unknown name, or a file that is gone."""
    try:
        segmenter, file = find_segmenter(name_or_path)
    except InputError:
        return None
    if file is None and isinstance(segmenter.weights, PublishedFile):
        return segmenter.weights.sha256
    path = file or segmenter.weights
    if not isinstance(path, Path) or not path.expanduser().is_file():
        return None
    status = path.expanduser().stat()
    return _sha256(path.expanduser(), status.st_size, status.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file; size and time of change are arguments, so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
