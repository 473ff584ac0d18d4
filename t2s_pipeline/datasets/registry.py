"""Which reader reads which dataset, and what a folder of a user's own is called."""

import re
from pathlib import Path

from t2s_pipeline.datasets.earthreason import SPLITS, EarthReason
from t2s_pipeline.datasets.records import Reader
from t2s_pipeline.errors import InputError

EMBEDDED = "synthetic"
READERS: dict[str, Reader] = {EMBEDDED: EarthReason(), "earthreason": EarthReason()}
"""Dataset key → reader. Any other key is a user's own folder in EarthReason's layout."""


def reader_of(name: str) -> Reader:
    """The dataset's reader."""
    return READERS.get(name, READERS["earthreason"])


def splits_of(root: Path, name: str = "earthreason") -> list[str]:
    """Those of train, val and test that the folder has.

    Raises:
        InputError: if the folder is missing or has none of them.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the folder that holds train, val or test.")
    found = reader_of(name).splits(root)
    if not found:
        raise InputError(f"{root} holds none of {', '.join(SPLITS)}: give the folder that holds them.")
    return found


def slug(root: Path) -> str:
    """The dataset key of a user's own folder: its name in lower case, runs of other characters as hyphens.

    >>> slug(Path("/data/Real scenes"))
    'real-scenes'

    A folder called EarthReason gets the key ``earthreason``, as it should.

    Raises:
        InputError: if nothing is left, or the key is that of the embedded scenes.
    """
    key = re.sub(r"[^a-z0-9]+", "-", root.resolve().name.lower()).strip("-")[:64]
    if not key:
        raise InputError(f"{root} has no letter or digit to name a dataset by: rename the folder.")
    if key == EMBEDDED:
        raise InputError(f"{key} is the name of the embedded scenes: rename the folder {root}.")
    return key
