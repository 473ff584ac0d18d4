"""The checkpoints that can be evaluated, of our runs and of the watched folder.

A checkpoint counts once per set of evaluation settings. Its fingerprint covers the weights, how the prompter is
asked, how it generates and which segmenter follows. It covers neither the data (new data does not trigger
re-evaluation) nor the code (the steps' own fingerprints cover that).
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.outside_files import entries_of
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import EXPERIMENTS, READY
from t2s_pipeline.methods.system import System
from t2s_pipeline.systems import watched_folder
from t2s_pipeline.systems.resolve import of_checkpoint, of_foreign
from t2s_pipeline.systems.watched_folder import UnusableFolder
from t2s_pipeline.training import checkpoints


@dataclass(frozen=True)
class Candidate:
    """A complete checkpoint that can be evaluated.

    Attributes:
        system: the system that it makes.
        run: the run, or the folder of the watched folder, that it belongs to.
        step: optimizer steps.
        final: true for the last checkpoint of a run.
        fingerprint: of the weights and the evaluation settings.
        path: its folder.
        validates: whether it is evaluated on val by itself, as ``watch.validate`` says.
    """

    system: System
    run: str
    step: int
    final: bool
    fingerprint: str
    path: Path
    validates: bool


def candidates(settings: Settings) -> tuple[list[Candidate], list[UnusableFolder]]:
    """Every complete checkpoint, and the folders that are none with the reason. Each folder is read once."""
    usable: list[Candidate] = []
    unusable: list[UnusableFolder] = []
    folders = _run_folders(settings)
    for folder in folders:
        try:
            complete, faults = checkpoints.readable(folder)
        except InputError as fault:
            unusable.append(UnusableFolder(folder, str(fault)))
            continue
        unusable += [UnusableFolder(path, str(fault)) for path, fault in faults.items()]
        for checkpoint in complete:
            try:
                usable.append(_of_ours(folder.name, checkpoint))
            except InputError as fault:
                unusable.append(UnusableFolder(checkpoint.path, str(fault)))
    reserved = frozenset({*READY, *EXPERIMENTS, *(folder.name for folder in folders)})
    foreign, refused = watched_folder.look(settings, reserved)
    for other in foreign:
        try:
            usable.append(_of_foreign(other))
        except InputError as fault:
            unusable.append(UnusableFolder(other.path, str(fault)))
    return usable, [*unusable, *refused]


def _of_ours(run: str, checkpoint: checkpoints.Checkpoint) -> Candidate:
    """Raises InputError if the settings that are stored with the checkpoint cannot be read."""
    system = of_checkpoint(checkpoint.name, checkpoint)
    counted = _fingerprint(checkpoint.sha256, system)
    validates = _validates(Experiment.from_json(checkpoint.experiment), checkpoint.step, checkpoint.final)
    return Candidate(system, run, checkpoint.step, checkpoint.final, counted, checkpoint.path, validates)


def _of_foreign(checkpoint: watched_folder.ForeignCheckpoint) -> Candidate:
    system = of_foreign(checkpoint)
    counted = _fingerprint(checkpoint.fingerprint, system)
    validates = _validates(checkpoint.experiment, checkpoint.step, checkpoint.final)
    return Candidate(system, checkpoint.run, checkpoint.step, checkpoint.final, counted, checkpoint.path, validates)


def _validates(experiment: Experiment, step: int, final: bool) -> bool:
    return experiment.watch.validates(step, final, experiment.grpo.checkpoint_every)


def _fingerprint(weights: str, system: System) -> str:
    # The folder of the weights is no setting: a run that is moved is not evaluated again.
    return fingerprint(weights=weights, system=replace(system, prompter=""))


def _run_folders(settings: Settings) -> list[Path]:
    if not settings.runs.is_dir():
        return []
    return [path for path in entries_of(settings.runs) if os.path.isdir(path) and not path.name.startswith(".")]
