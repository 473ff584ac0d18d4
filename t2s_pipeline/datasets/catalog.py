"""The datasets that are known, and where each one's files lie.

A benchmark's folder is named by the environment (``settings.ROOT_VARIABLES``) or by ``t2s ingest NAME --root PATH``,
which remembers it in ``T2S_HOME/datasets.json``; the environment comes first. A dataset of a user's own is remembered
there too: a folder in EarthReason's layout as its path, anything else as an object with the paths it is made of.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import ROOT_VARIABLES, Settings
from t2s_pipeline.datasets.layout import SPLITS
from t2s_pipeline.datasets.records import Reader
from t2s_pipeline.datasets.registry import (
    BENCHMARKS,
    EMBEDDED,
    CustomCoco,
    CustomReader,
    CustomTable,
    find_root,
    key_of,
    reader_of,
    slug,
)


@dataclass(frozen=True)
class Dataset:
    """A dataset and how it is read; ``origin`` says who named its folder."""

    key: str
    root: Path
    reader: Reader
    origin: str

    @property
    def splits(self) -> list[str]:
        """Those of train, val and test that it has."""
        return self.reader.splits(self.root)


def find_dataset(settings: Settings, key: str) -> Dataset:
    """The dataset, its layout found.

    Raises:
        InputError: if nobody named its folder yet, the folder is gone, or is not in its layout.
    """
    if key == EMBEDDED:
        return Dataset(key, _there(settings.scenes, key), reader_of(key), "drawn by the pipeline")
    if key in settings.roots:
        variable = ROOT_VARIABLES[key]
        return Dataset(key, find_root(_there(settings.roots[key], key), key), reader_of(key), variable)
    entry = _known(settings).get(key)
    if entry is None:
        how = f"`t2s ingest {key} --root FOLDER` names one"
        how += f", or the environment variable {ROOT_VARIABLES[key]}" if key in BENCHMARKS else ""
        raise InputError(f"No folder is known for the dataset {key}: {how}.")
    origin = str(_known_file(settings))
    if isinstance(entry, str):
        return Dataset(key, find_root(_there(Path(entry), key), key), reader_of(key), origin)
    reader, root = _custom(settings, key, entry)
    return Dataset(key, root, reader, origin)


def known_datasets(settings: Settings) -> list[str]:
    """The embedded scenes, the benchmarks whose folder somebody named, and datasets of a user's own."""
    return list(dict.fromkeys([EMBEDDED, *settings.roots, *_known(settings)]))


def readable_splits(settings: Settings) -> tuple[list[tuple[str, str]], list[str]]:
    """(dataset, split) of everything that can be asked for, and what is wrong with datasets that were named.

    The benchmarks are among them even where nobody named their folder: reading one then says how to.
    """
    offered = [(key, split) for key in (EMBEDDED, *BENCHMARKS) for split in SPLITS]
    faults: list[str] = []
    for key in known_datasets(settings):
        if key != EMBEDDED and key not in BENCHMARKS:
            try:
                offered += [(key, split) for split in find_dataset(settings, key).splits]
            except InputError as error:
                faults.append(str(error))
    return offered, faults


def add_dataset(settings: Settings, root: Path) -> str:
    """Remember a user's folder as a dataset and return its key: the folder's name, made fit for a key.

    A second folder of the same name gets a key of its own, so that it does not replace the first one's results.

    Raises:
        InputError: if it is not a folder in EarthReason's layout.
    """
    root = find_root(root.expanduser().resolve())
    known = _known(settings)
    for key, entry in known.items():
        if entry == str(root):
            return key
    key = slug(root)
    if key in known or (key in BENCHMARKS and key != "earthreason"):
        key = f"{key}-{hashlib.sha256(str(root).encode()).hexdigest()[:6]}"
    _remember(settings, key, str(root))
    return key


def add_benchmark(settings: Settings, key: str, root: Path) -> None:
    """Remember where a benchmark lies.

    Raises:
        InputError: if the folder is not in the benchmark's layout, or the environment names another one.
    """
    root = root.expanduser().resolve()
    found = find_root(root, key)
    named = settings.roots.get(key)
    if named is not None and find_root(named, key) != found:
        raise InputError(f"{ROOT_VARIABLES[key]} names {named}, not {root}: change or unset it.")
    _remember(settings, key, str(found))


def add_custom(settings: Settings, name: str, reader: CustomReader) -> str:
    """Remember images, masks and questions of a user's own under a name, made fit for a key.

    Raises:
        InputError: if the name is taken by other files, or there is nothing to read.
    """
    key = key_of(name)
    if not key or key == EMBEDDED or key in BENCHMARKS:
        raise InputError(f"{name!r} cannot be the name of your own dataset: give another one with --name.")
    entry: dict[str, str] = {field: str(value) for field, value in vars(reader).items()}
    known = _known(settings).get(key)
    if known not in (None, entry):
        raise InputError(f"The dataset {key} is made of other files: give this one a name of its own with --name.")
    _custom(settings, key, entry)
    _remember(settings, key, entry)
    return key


def _custom(settings: Settings, key: str, entry: Any) -> tuple[Reader, Path]:
    """The reader that an entry of ``datasets.json`` describes, and the folder that holds all of its files."""
    fields = dict(entry) if isinstance(entry, dict) else {}
    paths = {field: Path(str(value)) for field, value in fields.items() if field != "split"}
    split = str(fields.get("split"))
    if paths.keys() == {"images", "masks", "queries"}:
        reader = CustomTable(**paths, split=split)
    elif paths.keys() == {"images", "annotations"}:
        reader = CustomCoco(**paths, split=split)
    else:
        said = f"{_known_file(settings)} says nothing usable of the dataset {key}"
        raise InputError(f"{said}: `t2s ingest` names it anew.")
    gone = [str(path) for path in paths.values() if not path.exists()]
    if gone:
        raise InputError(f"{gone[0]} of the dataset {key} is gone: put it back, or name another one.")
    return reader, Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths.values()]))


def _there(root: Path, key: str) -> Path:
    if not root.is_dir():
        raise InputError(f"The folder {root} of the dataset {key} is gone: put it back, or name another one.")
    return root


def _remember(settings: Settings, key: str, entry: str | dict[str, str]) -> None:
    with atomic_file(_known_file(settings)) as temporary:
        temporary.write_text(json.dumps({**_known(settings), key: entry}, indent=1, sort_keys=True) + "\n")


def _known_file(settings: Settings) -> Path:
    return settings.home / "datasets.json"


def _known(settings: Settings) -> dict[str, Any]:
    path = _known_file(settings)
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}): mend it, or delete it and ingest again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no object of datasets: mend it, or delete it and ingest again.")
    return content
