"""Checkpoints in the watched folder ``T2S_HOME/checkpoints``: which of them are complete, and their names.

``checkpoints/<name>/`` is one checkpoint and becomes the system ``<name>``. ``checkpoints/<name>/checkpoint-<step>/``
is a checkpoint of a run and becomes ``<name>--<step>``, or ``<name>`` if its marker says that it is the last one.
A checkpoint of ours has its settings in its marker. Any other checkpoint names in a file ``evaluate.json`` the
experiment whose settings it answers with: ``{"experiment": "think2seg-rs-3b", "step": 400}``.
"""

import json
import re
import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.names import RULE, is_name
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training import checkpoints

ANSWERS_AS = "evaluate.json"
QUIET_SECONDS = 3.0
"""A folder counts only after nothing in it was created or renamed for this time: a copy may still be running."""
MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors format for a file's header."""

_STEP = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class ForeignCheckpoint:
    """A complete checkpoint of the watched folder."""

    system: str
    """The name of the system in all tables."""
    run: str
    step: int
    final: bool
    """True for the last checkpoint of a run, and for a checkpoint that does not say."""
    path: Path
    experiment: Experiment
    """The settings that it answers with: its own, or those of the experiment that it answers as."""
    fingerprint: str
    """Of the weights, without reading them: the marker's SHA-256, or names, sizes and times of the files."""
    created_at: datetime


@dataclass(frozen=True)
class UnusableFolder:
    """A folder that is not a complete checkpoint, or not yet, and the reason."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def look(
    settings: Settings, reserved: frozenset[str] = frozenset()
) -> tuple[list[ForeignCheckpoint], list[UnusableFolder]]:
    """Everything in the watched folder, by name. Each folder is read once.

    Args:
        settings: names the watched folder.
        reserved: names of our own experiments and runs, which a folder must not have.
    """
    usable: list[ForeignCheckpoint] = []
    unusable: list[UnusableFolder] = []
    for folder in _folders(settings.watched):
        if folder.name in reserved:
            reason = f"{folder.name} is the name of a run or base of ours: rename the folder"
            unusable.append(UnusableFolder(folder, reason))
            continue
        complete, incomplete = look_into(folder)
        usable += complete
        unusable += incomplete
    return usable, unusable


def look_into(folder: Path) -> tuple[list[ForeignCheckpoint], list[UnusableFolder]]:
    """The checkpoints of one folder of the watched folder: itself, or its ``checkpoint-<step>`` folders."""
    if not is_name(folder.name):
        return [], [UnusableFolder(folder, f"rename it: a name is {RULE}")]
    usable: list[ForeignCheckpoint] = []
    unusable: list[UnusableFolder] = []
    steps = {path: int(match[1]) for path in _folders(folder) if (match := _STEP.fullmatch(path.name))}
    for path in steps or [folder]:
        try:
            usable.append(_read(path, folder.name, steps.get(path)))
        except InputError as fault:
            unusable.append(UnusableFolder(path, str(fault)))
    return usable, unusable


def find(settings: Settings, system: str) -> ForeignCheckpoint | None:
    """The complete foreign checkpoint of that name, or None. Only the folder of that name is read."""
    folder = settings.watched / system.partition("--")[0]
    if not folder.is_dir():
        return None
    return next((checkpoint for checkpoint in look_into(folder)[0] if checkpoint.system == system), None)


def reasons(settings: Settings, system: str) -> list[UnusableFolder]:
    """Why the folder of a system's name does not give that system; empty if there is no such folder."""
    name, _, step = system.partition("--")
    folder = settings.watched / name
    if name != folder.name or not folder.is_dir():
        return []
    complete, incomplete = look_into(folder)
    unusable = [other for other in incomplete if not step or other.path.name in (name, f"checkpoint-{step}")]
    if not unusable and complete:
        names = ", ".join(checkpoint.system for checkpoint in complete)
        return [UnusableFolder(folder, f"it holds {names}")]
    return unusable or [UnusableFolder(folder / f"checkpoint-{step}", "there is no such folder")]


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))


def _read(path: Path, name: str, step: int | None) -> ForeignCheckpoint:
    """The checkpoint in a folder.

    Raises:
        InputError: if it is not complete, not settled, or does not say as what it answers.
    """
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    weights = [file for file in files if file.suffix == ".safetensors"]
    if not weights or not (path / "config.json").is_file():
        raise InputError("it holds no model: expected config.json and *.safetensors")
    for file in weights:
        _require_whole(file)
    _require_shards(path)
    stats = [file.stat() for file in files]
    # A file's change time is that of its arrival here, whatever time of its making a copy keeps.
    if time.time() - max(stat.st_ctime for stat in stats) < QUIET_SECONDS:
        raise InputError("it was changed a moment ago: waiting until it is whole")
    marker = checkpoints.read(path)
    if marker is not None:
        at = marker.step if step is None else step
        system = name if step is None or marker.final else f"{name}--{step}"
        created = datetime.fromisoformat(marker.created_at)
        settings = Experiment.from_json(marker.experiment)
        final = step is None or marker.final
        return ForeignCheckpoint(system, name, at, final, path, settings, marker.sha256, created)
    answers_as = _answers_as(path)
    weights_fingerprint = fingerprint(
        files=[(file.name, stat.st_size, stat.st_mtime_ns) for file, stat in zip(files, stats, strict=True)]
    )
    created = datetime.fromtimestamp(max(file.stat().st_mtime for file in weights), UTC)
    system = name if step is None else f"{name}--{step}"
    at = answers_as.step if step is None else step
    settings = experiment(answers_as.experiment)
    return ForeignCheckpoint(system, name, at, True, path, settings, weights_fingerprint, created)


@dataclass(frozen=True)
class AnswersAs:
    """The contents of ``evaluate.json``: the experiment whose settings apply, and the training step if it is known."""

    experiment: str
    step: int


def _answers_as(path: Path) -> AnswersAs:
    """Read ``evaluate.json``.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        content = json.loads((path / ANSWERS_AS).read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"it has neither our marker {checkpoints.MARKER} nor {ANSWERS_AS}: say as which experiment it answers, "
            'for example {"experiment": "think2seg-rs-3b"}'
        ) from None
    except ValueError as fault:
        raise InputError(f"{ANSWERS_AS} is no JSON ({fault})") from fault
    if not isinstance(content, dict) or not isinstance(content.get("experiment"), str):
        raise InputError(f'{ANSWERS_AS} must be like {{"experiment": "think2seg-rs-3b"}}')
    if not isinstance(content.get("step", 0), int):
        raise InputError(f"{ANSWERS_AS}: step {content['step']!r} is no whole number")
    return AnswersAs(content["experiment"], content.get("step", 0))


def _require_whole(file: Path) -> None:
    """The header of a safetensors file says how long the file is (https://huggingface.co/docs/safetensors)."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise InputError(f"{file.name} is not whole")
        try:
            header = json.loads(stream.read(length))
            ends = [value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as fault:
            raise InputError(f"{file.name} is no safetensors file") from fault
    if size != 8 + length + max(ends, default=0):
        raise InputError(f"{file.name} is not whole")


def _require_shards(path: Path) -> None:
    index = path / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(f"{index.name} cannot be read") from fault
    missing = sorted(str(shard) for shard in shards if not (path / str(shard)).is_file())
    if missing:
        raise InputError(f"{len(missing)} of its files are missing, the first: {missing[0]}")
