"""Which reader reads which dataset, where its layout lies, and what a folder of a user's own is called."""

import re
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.earthreason import EarthReason
from t2s_pipeline.datasets.layout import located
from t2s_pipeline.datasets.phrases import REFSEGRS, RISBENCH
from t2s_pipeline.datasets.records import Reader
from t2s_pipeline.datasets.rrsis_d import RrsisD

EMBEDDED = "synthetic"
CUSTOM = "custom"
BENCHMARKS: dict[str, Reader] = {
    "earthreason": EarthReason(),
    "rrsis-d": RrsisD(),
    "risbench": RISBENCH,
    "refsegrs": REFSEGRS,
}
"""The published ones: dataset key → reader."""

READERS: dict[str, Reader] = {EMBEDDED: EarthReason(), **BENCHMARKS}
"""Any other key is a user's own: a folder in EarthReason's layout unless it was ingested as something else."""

CustomReader = CustomTable | CustomCoco
"""Readers that are told every path: `t2s ingest custom`."""

LAYOUTS = {
    "earthreason": "train, val or test, each with images/, labels/ and QAs/",
    "rrsis-d": "images/rrsisd/JPEGImages/, rrsisd/instances.json and rrsisd/refs(unc).p",
    "risbench": "img_rgb/, mask/ and output_phrase_train.txt, _val.txt or _test.txt",
    "refsegrs": "images/, masks/ and output_phrase_train.txt, _val.txt or _test.txt",
}


def reader_of(name: str) -> Reader:
    """The dataset's reader."""
    return READERS.get(name, READERS["earthreason"])


def find_root(root: Path, name: str = "earthreason") -> Path:
    """The folder that holds the dataset's layout: ``root``, or the only such folder a little below.

    Raises:
        InputError: if the folder is missing, or holds no dataset of that layout or several.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the folder that holds {_layout(name)}.")
    found = located(root, reader_of(name).splits)
    if found is None:
        raise InputError(f"{root} is not in the layout of {name}: give the folder that holds {_layout(name)}.")
    return found


def splits_of(root: Path, name: str = "earthreason") -> list[str]:
    """Those of train, val and test that the folder has. Raises as ``find_root``."""
    return reader_of(name).splits(find_root(root, name))


def _layout(name: str) -> str:
    return LAYOUTS.get(name, LAYOUTS["earthreason"])


def slug(root: Path) -> str:
    """The dataset key of a user's own folder: its name in lower case, runs of other characters as hyphens.

    >>> slug(Path("/data/Real scenes"))
    'real-scenes'

    A folder called EarthReason gets the key ``earthreason``, as it should.

    Raises:
        InputError: if nothing is left, or the key is that of the embedded scenes.
    """
    key = key_of(root.resolve().name)
    if not key:
        raise InputError(f"{root} has no letter or digit to name a dataset by: rename the folder.")
    if key == EMBEDDED:
        raise InputError(f"{key} is the name of the embedded scenes: rename the folder {root}.")
    return key


def key_of(name: str) -> str:
    """A name as a dataset key; empty if it has no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64]
