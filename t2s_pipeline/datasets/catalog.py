"""The datasets that are known, and where the files of each lie.

A benchmark's folder is named by its environment variable, or by ``t2s ingest NAME --root PATH``, which writes it to
``T2S_HOME/datasets.json``. The environment variable comes first. Datasets of your own are written to that file too: a
folder in EarthReason's layout as its path, anything else as an object with the paths of its files.
"""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import OutsideFileError, home_expanded, is_there, outside_object
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.custom_vectors import PER, CustomVectors
from t2s_pipeline.datasets.dataset import Dataset, dataset_name
from t2s_pipeline.datasets.earthreason import EARTHREASON, EarthReason
from t2s_pipeline.datasets.layout import SPLITS
from t2s_pipeline.datasets.registry import BENCHMARKS, EMBEDDED, dataset_at, folder_name
from t2s_pipeline.lake.schema import SAMPLES
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, PixelRules

CustomReader = CustomTable | CustomCoco | CustomVectors
"""Readers of your own files, which are given every path: `t2s ingest custom`."""

_HOW = ("rules", "encoding", "per", "chip", "overlap")
"""The keys of an entry that say how files are read. They may change under the same name."""

_TEXTS = ("split", "field", "layer", *_HOW)
"""The keys of an entry that are no paths."""

Entry = str | dict[str, Any]
"""What ``datasets.json`` holds about a dataset: a folder, or an object with paths and the rules for pixels."""


def find_dataset(settings: Settings, name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        InputError: if its folder is not known, is missing, or is not in its layout.
    """
    if name == EMBEDDED:
        return dataset_at(name, _existing(settings.scenes, name), "painted by the pipeline")
    if name in BENCHMARKS and name in settings.roots:
        return dataset_at(name, _existing(settings.roots[name], name), BENCHMARKS[name].root_variable)
    entry = _entries(settings).get(name)
    if entry is None:
        variable = f", or the environment variable {BENCHMARKS[name].root_variable}" if name in BENCHMARKS else ""
        raise InputError(
            f"The folder of the dataset {name} is not known. Name it with `t2s ingest {name} --root FOLDER`{variable}."
        )
    if isinstance(entry, str):
        return dataset_at(name, _existing(Path(entry), name), str(_datasets_file(settings)))
    if isinstance(entry, dict) and isinstance(entry.get("folder"), str):
        rules = PixelRules.of(entry.get("rules") or {})
        root = _existing(Path(entry["folder"]), name)
        return replace(dataset_at(name, root, str(_datasets_file(settings))), reader=EarthReason(rules))
    return _custom(settings, name, entry)


def known_datasets(settings: Settings) -> list[str]:
    """The embedded scenes, the benchmarks whose folder is known, and datasets of your own."""
    from_environment = [name for name in settings.roots if name in BENCHMARKS]
    return list(dict.fromkeys([EMBEDDED, *from_environment, *_entries(settings)]))


def readable_splits(settings: Settings) -> tuple[list[tuple[str, str]], list[str]]:
    """(dataset, split) of everything that can be read, and what is wrong with the datasets that cannot be read.

    All benchmarks are included. Reading one whose folder is not known fails with a message that says how to name it.
    """
    offered = [(EMBEDDED, split) for split in SPLITS]
    offered += [(benchmark.name, split) for benchmark in BENCHMARKS.values() for split in benchmark.splits]
    faults: list[str] = []
    for name in known_datasets(settings):
        if name != EMBEDDED and name not in BENCHMARKS:
            try:
                offered += [(name, split) for split in find_dataset(settings, name).splits]
            except InputError as error:
                faults.append(str(error))
    return offered, faults


def add_dataset(settings: Settings, root: Path, rules: PixelRules | None = None) -> str:
    """Store your own folder as a dataset, and return its name, which is made from the name of the folder.

    A second folder of the same name gets another dataset name, so that it does not replace the results of the first.

    Args:
        settings: name the file that remembers it.
        root: a folder in EarthReason's layout.
        rules: how its pixels are read; None: as they are stored for the folder, or without settings.

    Raises:
        InputError: if the folder is not in EarthReason's layout.
    """
    root = dataset_at(EARTHREASON.name, home_expanded(root).resolve()).root
    entries = _entries(settings)
    for name, entry in entries.items():
        if str(root) in (entry, entry.get("folder") if isinstance(entry, dict) else None):
            if rules is not None:
                _store(settings, name, _folder_entry(root, rules))
            return name
    name = folder_name(root)
    if name in entries or (name in BENCHMARKS and name != EARTHREASON.name):
        name = f"{name}-{hashlib.sha256(str(root).encode()).hexdigest()[:6]}"
    _store(settings, name, _folder_entry(root, rules or AS_FILES_SAY))
    return name


def _folder_entry(root: Path, rules: PixelRules) -> Entry:
    return {"folder": str(root), "rules": rules.settings} if rules.settings else str(root)


def add_benchmark(settings: Settings, name: str, root: Path) -> None:
    """Store where a benchmark lies.

    Raises:
        InputError: if the folder is not in the benchmark's layout, or the environment variable names another folder.
    """
    root = home_expanded(root).resolve()
    dataset = dataset_at(name, root)
    from_environment = settings.roots.get(name)
    if from_environment is not None and dataset_at(name, from_environment).root != dataset.root:
        variable = BENCHMARKS[name].root_variable
        raise InputError(f"{variable} names {from_environment}, not {root}: change or unset the variable.")
    _store(settings, name, str(dataset.root))


def add_custom(settings: Settings, wish: str, reader: CustomReader) -> str:
    """Store images, masks and questions of your own as a dataset, and return its name.

    The name is ``wish`` in lower case, with hyphens for other characters. It is free if no sample was read under it.

    Raises:
        InputError: if the name belongs to other files, or a file is missing.
    """
    name = dataset_name(wish)
    if not name or name == EMBEDDED or name in BENCHMARKS:
        raise InputError(f"{wish!r} cannot be the name of your own dataset: give another name with --name.")
    entry = _custom_entry(reader)
    entries = _entries(settings)
    if name in entries and _files_of(entries[name]) != _files_of(entry) and _holds_samples(settings, name):
        raise InputError(f"The dataset {name} consists of other files: give another name with --name.")
    _custom(settings, name, entry)
    _store(settings, name, entry)
    return name


def _holds_samples(settings: Settings, name: str) -> bool:
    """Whether a sample of the dataset is in the lake."""
    partitions = [one for one in list_partitions(settings.lake, SAMPLES) if one["dataset"] == name]
    return any(read_partition(settings.lake, SAMPLES, one, ["sample_id"]).num_rows for one in partitions)


def _custom_entry(reader: CustomReader) -> dict[str, Any]:
    """The paths and the split, and what differs from the defaults."""
    fields = {field: str(value) for field, value in vars(reader).items() if field != "rules" and value != ""}
    return fields | ({"rules": reader.rules.settings} if reader.rules.settings else {})


def _files_of(entry: object) -> object:
    """An entry without how its files are read."""
    return {key: entry[key] for key in entry if key not in _HOW} if isinstance(entry, dict) else entry


def _custom(settings: Settings, name: str, entry: object) -> Dataset:
    """The dataset that an object of ``datasets.json`` describes."""
    content = entry if isinstance(entry, dict) else {}
    rules = PixelRules.of(content.get("rules") or {})
    fields = {str(field): str(value) for field, value in content.items() if field != "rules"}
    paths = {field: Path(value) for field, value in fields.items() if field not in _TEXTS}
    split, encoding = fields.get("split", ""), fields.get("encoding", "")
    reader: CustomReader
    if paths.keys() == {"images", "masks", "queries"}:
        reader = CustomTable(paths["images"], paths["masks"], paths["queries"], split, encoding, rules)
    elif paths.keys() == {"images", "annotations"}:
        reader = CustomCoco(paths["images"], paths["annotations"], split, rules)
    elif paths.keys() == {"images", "vectors"}:
        reader = _vectors(paths, fields, rules)
    else:
        raise InputError(
            f"The entry of the dataset {name} in {_datasets_file(settings)} has other keys than expected: "
            "run `t2s ingest` for it again."
        )
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]} of the dataset {name} is missing: restore it, or run `t2s ingest` again.")
    root = os.path.commonpath([path if path.is_dir() else path.parent for path in paths.values()])
    return Dataset(name, Path(root), reader, origin=str(_datasets_file(settings)))


def _vectors(paths: dict[str, Path], fields: dict[str, str], rules: PixelRules) -> CustomVectors:
    chip, overlap = fields.get("chip", "0"), fields.get("overlap", "0")
    return CustomVectors(
        paths["images"],
        paths["vectors"],
        fields.get("field", ""),
        fields.get("split", ""),
        fields.get("layer", ""),
        fields.get("per", PER[0]),
        int(chip) if chip.isdecimal() else 0,
        int(overlap) if overlap.isdecimal() else 0,
        fields.get("encoding", ""),
        rules,
    )


def _existing(root: Path, name: str) -> Path:
    if not root.is_dir():
        raise InputError(f"The folder {root} of the dataset {name} is missing: restore it, or name another folder.")
    return root


def _store(settings: Settings, name: str, entry: Entry) -> None:
    with atomic_file(_datasets_file(settings)) as temporary:
        temporary.write_text(json.dumps({**_entries(settings), name: entry}, indent=1, sort_keys=True) + "\n")


def _datasets_file(settings: Settings) -> Path:
    return settings.home / "datasets.json"


def _entries(settings: Settings) -> dict[str, object]:
    path = _datasets_file(settings)
    if not is_there(path):
        return {}
    try:
        return dict(outside_object(path))
    except OutsideFileError as fault:
        raise InputError(
            f"{path} cannot be read ({fault.detail}): correct it, or delete it and ingest again."
        ) from fault
