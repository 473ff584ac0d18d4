"""Checkpoints on disk: reading complete ones, and making one complete.

A run is a folder ``runs/<run>``. A checkpoint is a folder ``checkpoint-<step>`` in it, and it is complete only if it
has the marker file. A checkpoint is written under a temporary name beside it, flushed to the disk and renamed: a
folder with the final name is never partly written.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from t2s_pipeline.core.atomic_files import atomic_file, flush
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import entries_of, is_there, outside_object, shown

MARKER = "COMPLETE.json"
EXPORTED = "experiment.json"
"""The settings of an exported checkpoint, as ``Experiment.as_json`` gives them."""
ANSWERS_AS = "evaluate.json"
"""How a checkpoint without our marker is evaluated (``systems/answering_settings.py``)."""
_NAME = re.compile(r"checkpoint-([0-9]{1,12})")
_STAGING = ".staging"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint, as its marker file describes it."""

    path: Path
    run: str
    step: int
    steps: int
    """Optimizer steps of the whole run; the checkpoint with ``step == steps`` is the final one."""
    experiment: dict[str, Any]
    """The settings, as ``Experiment.as_json`` gives them."""
    fingerprint: str
    """Of code, data and settings of the training. A run also continues if it has changed (``continuation.py``)."""
    data_fingerprint: str
    sha256: str
    """SHA-256 over the weight files, in the order of their names."""
    created_at: str
    """ISO 8601, UTC."""
    base_sha256: str = ""
    """SHA-256 over the weights that training started from; empty if it was not recorded (before 0.3)."""
    segmenter_sha256: str = ""
    """SHA-256 of the segmenter's weights; empty if it was not recorded."""
    code: str = ""
    """Fingerprint of the training code, without comments and formatting; empty if it is not known."""
    revision: str = ""
    """The version and commit of the code (``core.revision``)."""

    @property
    def final(self) -> bool:
        """True for the last checkpoint of a run."""
        return self.step >= self.steps

    @property
    def name(self) -> str:
        """The name of the system with these weights: the run's name if final, else ``<run>--<step>``."""
        return self.run if self.final else f"{self.run}--{self.step}"


def read(path: Path) -> Checkpoint | None:
    """The checkpoint in a folder, or None if it has no marker.

    Raises:
        InputError: if the marker cannot be read.
    """
    if not is_there(path / MARKER):
        return None
    try:
        checkpoint = Checkpoint(path=path, **outside_object(path / MARKER))
        _require_types(checkpoint)
        return checkpoint
    except (InputError, ValueError, TypeError) as fault:
        raise InputError(f"{path / MARKER} is damaged ({fault}). Remove the folder {path}.") from fault


def _require_types(checkpoint: Checkpoint) -> None:
    """Check that every field has its type, that steps are possible and that the time is one.

    Raises:
        ValueError: naming the field.
    """
    for field in fields(checkpoint):
        value = getattr(checkpoint, field.name)
        kind = {"path": Path, "step": int, "steps": int, "experiment": dict}.get(field.name, str)
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 0):
            raise ValueError(f"its {field.name} is {shown(value)}")
    datetime.fromisoformat(checkpoint.created_at)


def complete(run_folder: Path) -> list[Checkpoint]:
    """The complete checkpoints of a run, oldest first; empty if the run has no folder.

    Raises:
        InputError: if the marker of one cannot be read.
    """
    checkpoints, faults = readable(run_folder)
    if faults:
        raise next(iter(faults.values()))
    return checkpoints


def readable(run_folder: Path) -> tuple[list[Checkpoint], dict[Path, InputError]]:
    """The complete checkpoints of a run, oldest first, and what is wrong with the folders whose marker is damaged."""
    checkpoints: list[Checkpoint] = []
    faults: dict[Path, InputError] = {}
    if not os.path.isdir(run_folder):
        return checkpoints, faults
    for path in entries_of(run_folder):
        if _NAME.fullmatch(path.name):
            try:
                checkpoint = read(path)
            except InputError as fault:
                faults[path] = fault
            else:
                checkpoints += [checkpoint] if checkpoint is not None else []
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.step), faults


def latest(run_folder: Path) -> Checkpoint | None:
    """The complete checkpoint with the most steps; None if there is none."""
    return max(complete(run_folder), key=lambda checkpoint: checkpoint.step, default=None)


def staging(run_folder: Path) -> Path:
    """The folder for unfinished checkpoints of a run: on the same file system, so that a rename completes one."""
    return run_folder / _STAGING


def publish(staged: Path, checkpoint: Checkpoint) -> Checkpoint:
    """Make a checkpoint folder complete: write the marker, flush to disk, rename to ``checkpoint.path``."""
    (staged / MARKER).write_text(_marker(checkpoint))
    for path in sorted(staged.rglob("*")):
        flush(path)
    flush(staged)
    earlier = _leaving(checkpoint.path)
    shutil.rmtree(earlier, ignore_errors=True)
    if checkpoint.path.exists():  # incomplete, or published again by a resumed run
        os.replace(checkpoint.path, earlier)
    os.replace(staged, checkpoint.path)
    flush(checkpoint.path.parent)
    shutil.rmtree(earlier, ignore_errors=True)
    return checkpoint


def remove(checkpoint: Checkpoint) -> None:
    """Delete a checkpoint. It is renamed first, so that a folder with the final name is never partly deleted."""
    leaving = _leaving(checkpoint.path)
    shutil.rmtree(leaving, ignore_errors=True)
    os.replace(checkpoint.path, leaving)
    shutil.rmtree(leaving)


def _leaving(path: Path) -> Path:
    """The name of a checkpoint folder that is being deleted."""
    return path.with_name(f".{path.name}.leaving")


def update_settings(checkpoint: Checkpoint, experiment: dict[str, Any]) -> None:
    """Write other settings into a checkpoint's marker. They must not be settings that the weights depend on."""
    with atomic_file(checkpoint.path / MARKER) as temporary:
        temporary.write_text(_marker(replace(checkpoint, experiment=experiment)))


def _marker(checkpoint: Checkpoint) -> str:
    content = asdict(checkpoint)
    del content["path"]
    return json.dumps(content, indent=1, sort_keys=True)


def set_aside(run_folder: Path) -> Path | None:
    """Move the folder of a run to ``runs/.replaced``. Every run that was set aside is kept there.

    Returns:
        The new place: ``runs/.replaced/<run>``, ``<run>.2``, ``<run>.3``, and so on. None if there was no such folder.
    """
    if not run_folder.exists():
        return None
    replaced = run_folder.parent / ".replaced"
    replaced.mkdir(parents=True, exist_ok=True)
    names = (run_folder.name if number == 1 else f"{run_folder.name}.{number}" for number in count(1))
    target = next(replaced / name for name in names if not (replaced / name).exists())
    os.replace(run_folder, target)
    flush(replaced)
    return target
