"""Checkpoints on disk: which are complete, and how one becomes complete.

A run is a folder ``runs/<run>``; a checkpoint is ``checkpoint-<step>`` in it and counts only if it holds the
marker file. Everything is written under a temporary name beside it, flushed to the disk and renamed, so a
folder with the final name is whole or is not there. No torch.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError

MARKER = "COMPLETE.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_STAGING = ".staging"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint, as its marker describes it."""

    path: Path
    run: str
    step: int
    steps: int
    """How many optimizer steps the whole run has; the checkpoint with ``step == steps`` is the final one."""
    experiment: dict
    """The settings, as ``Experiment.as_json`` gives them."""
    fingerprint: str
    """Of code, data and settings of the training that made it; a run continues only under the same one."""
    data_fingerprint: str
    sha256: str
    """Over the weight files, in the order of their names."""
    created_at: str
    """ISO 8601, UTC."""

    @property
    def final(self) -> bool:
        return self.step >= self.steps

    @property
    def name(self) -> str:
        """What completions and predictions call it: the run's name if final, else ``<run>--<step>``."""
        return self.run if self.final else f"{self.run}--{self.step}"


def read(path: Path) -> Checkpoint | None:
    """The checkpoint in a folder, or None if it has no marker.

    Raises:
        InputError: if the marker cannot be read.
    """
    try:
        fields = json.loads((path / MARKER).read_text())
        return Checkpoint(path=path, **fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as fault:
        raise InputError(f"{path / MARKER} is damaged ({fault}): remove the folder {path}.") from fault


def complete(run_folder: Path) -> list[Checkpoint]:
    """Every complete checkpoint of a run, oldest first; empty if the run is not there."""
    if not run_folder.is_dir():
        return []
    folders = [path for path in run_folder.iterdir() if _NAME.fullmatch(path.name)]
    found = [checkpoint for checkpoint in map(read, folders) if checkpoint is not None]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def latest(run_folder: Path) -> Checkpoint | None:
    return max(complete(run_folder), key=lambda checkpoint: checkpoint.step, default=None)


def staging(run_folder: Path) -> Path:
    """Where unfinished checkpoints of a run are written; on the same file system, so that a rename suffices."""
    return run_folder / _STAGING


def publish(staged: Path, checkpoint: Checkpoint) -> Checkpoint:
    """Make a written checkpoint folder complete: marker, flush to disk, rename to ``checkpoint.path``."""
    (staged / MARKER).write_text(_marker(checkpoint))
    for path in sorted(staged.rglob("*")):
        _flush(path)
    _flush(staged)
    if checkpoint.path.exists():  # left by a run with another fingerprint, or published twice by a resumed one
        shutil.rmtree(checkpoint.path)
    os.replace(staged, checkpoint.path)
    _flush(checkpoint.path.parent)
    return checkpoint


def remove(checkpoint: Checkpoint) -> None:
    """Delete a checkpoint; under another name first, so that a folder with the final name stays whole."""
    leaving = checkpoint.path.with_name(f".{checkpoint.path.name}.leaving")
    shutil.rmtree(leaving, ignore_errors=True)
    os.replace(checkpoint.path, leaving)
    shutil.rmtree(leaving)


def restate(checkpoint: Checkpoint, experiment: dict) -> None:
    """Put other settings into a checkpoint's marker, where they changed nothing that was learned."""
    with atomic_file(checkpoint.path / MARKER) as temporary:
        temporary.write_text(_marker(replace(checkpoint, experiment=experiment)))


def _marker(checkpoint: Checkpoint) -> str:
    fields = asdict(checkpoint)
    del fields["path"]
    return json.dumps(fields, indent=1, sort_keys=True)


def set_aside(run_folder: Path) -> Path | None:
    """Move a run that other code, data or settings made out of the way; one such predecessor is kept."""
    if not run_folder.exists():
        return None
    kept = run_folder.parent / ".replaced" / run_folder.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.replace(run_folder, kept)
    return kept


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
