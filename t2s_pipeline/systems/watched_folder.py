"""Checkpoints in the watched folder ``T2S_HOME/checkpoints``: which of them are complete, and their names.

``checkpoints/<name>/`` is one checkpoint and becomes the system ``<name>``. ``checkpoints/<name>/checkpoint-<step>/``
is a checkpoint of a run and becomes ``<name>--<step>``, or ``<name>`` if its marker says that it is the last one. A
model that lies in ``checkpoints/<name>/`` beside such folders is the final model of the run and becomes ``<name>``.
A checkpoint of ours has its settings in its marker, and an export in its file ``experiment.json``. Any other checkpoint
names in a file ``evaluate.json`` the experiment whose settings it answers with:
``{"experiment": "think2seg-rs-3b", "step": 400}``. The file can also lie in ``checkpoints/<name>/``; then it is valid
for all checkpoints of the run. It can change settings too (``answering_settings.py``). If the checkpoints were trained
on another instruction, ``"template": "template.toml"`` names a file beside it with that text
(``prompting/templates.py``).
"""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from t2s_pipeline.core.arrival import may_be_arriving
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.names import RULE, is_name
from t2s_pipeline.core.outside_files import INDEX_BYTES, entries_of, outside_object
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.system import System
from t2s_pipeline.systems.answering_settings import answering_settings
from t2s_pipeline.systems.model_files import holds_model_files, require_complete
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.checkpoints import ANSWERS_AS

_STEP = re.compile(r"checkpoint-([0-9]{1,12})")
_TRAINER_STATE = "trainer_state.json"


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
    template: Path | None = None
    """The file with the text that it is asked with; None for our own instruction."""


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
    for folder in _folders(settings.watched) if settings.watched.is_dir() else ():
        if folder.name in reserved:
            reason = f"{folder.name} is the name of a run or base of ours: rename the folder"
            unusable.append(UnusableFolder(folder, reason))
            continue
        complete, incomplete = look_into(folder)
        usable += complete
        unusable += incomplete
    return usable, unusable


def look_into(folder: Path) -> tuple[list[ForeignCheckpoint], list[UnusableFolder]]:
    """The checkpoints of one folder of the watched folder: its ``checkpoint-<step>`` folders, and itself."""
    if not is_name(folder.name):
        return [], [UnusableFolder(folder, f"rename it: a name is {RULE}")]
    usable: list[ForeignCheckpoint] = []
    unusable: list[UnusableFolder] = []
    try:
        steps = {path: int(match[1]) for path in _folders(folder) if (match := _STEP.fullmatch(path.name))}
    except InputError as fault:
        return [], [UnusableFolder(folder, str(fault))]
    if not steps or holds_model_files(folder):
        try:
            usable.append(_read(folder, folder.name, last_step=max(steps.values(), default=0)))
        except InputError as fault:
            unusable.append(UnusableFolder(folder, str(fault)))
    with_final = bool(usable)
    for path, step in steps.items():
        try:
            usable.append(_read(path, folder.name, step, with_final))
        except InputError as fault:
            unusable.append(UnusableFolder(path, str(fault)))
    return sorted(usable, key=lambda checkpoint: (checkpoint.step, checkpoint.final)), unusable


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
    return [path for path in entries_of(parent) if os.path.isdir(path) and not path.name.startswith((".", "_"))]


def _read(
    path: Path, name: str, step: int | None = None, with_final: bool = False, last_step: int = 0
) -> ForeignCheckpoint:
    """The checkpoint in a folder.

    Args:
        path: the folder with the weights.
        name: of the folder in the watched folder.
        step: of ``checkpoint-<step>``; None for the folder itself.
        with_final: whether a final model lies beside ``checkpoint-<step>``, so that this is not the last one.
        last_step: the step of the folder itself, where no file of it says one.

    Raises:
        InputError: if it is not complete, not settled, or does not say as what it answers.
    """
    weights = require_complete(path)
    files = [file for file in entries_of(path) if os.path.isfile(file) and not file.name.startswith(".")]
    try:
        stats = [file.stat() for file in files]
    except OSError as fault:
        raise InputError(f"its files change ({fault.strerror}): waiting until it is whole") from fault
    if may_be_arriving(stats):
        raise InputError("it was changed a moment ago: waiting until it is whole")
    marker = checkpoints.read(path)
    if marker is not None:
        final = step is None or (marker.final and not with_final)
        return ForeignCheckpoint(
            system=name if final else f"{name}--{step}",
            run=name,
            step=marker.step if step is None else step,
            final=final,
            path=path,
            experiment=Experiment.from_json(marker.experiment),
            fingerprint=marker.sha256,
            created_at=datetime.fromisoformat(marker.created_at),
        )
    answers_as = answering_settings(path, path if step is None or (path / ANSWERS_AS).exists() else path.parent)
    weights_fingerprint = fingerprint(
        files=[(file.name, stat.st_size, stat.st_mtime_ns) for file, stat in zip(files, stats, strict=True)]
    )
    # A file that is no template makes the folder unusable.
    System.of(name, answers_as.experiment).asked_with(answers_as.template)
    return ForeignCheckpoint(
        system=name if step is None else f"{name}--{step}",
        run=name,
        step=(answers_as.step or _trainer_step(path) or last_step) if step is None else step,
        final=not with_final,
        path=path,
        experiment=answers_as.experiment,
        fingerprint=weights_fingerprint,
        created_at=datetime.fromtimestamp(max(file.stat().st_mtime for file in weights), UTC),
        template=answers_as.template,
    )


def _trainer_step(path: Path) -> int:
    """The step that the Trainer of transformers stored with a model; 0 if it stored none."""
    try:
        step = outside_object(path / _TRAINER_STATE, INDEX_BYTES).get("global_step")
    except InputError:
        return 0
    return step if isinstance(step, int) and step >= 0 else 0
