"""Which checkpoints there are to evaluate, of our runs and of the watched folder.

A checkpoint counts once for each set of evaluation settings: its mark covers the weights, how it is asked, how it
answers and who draws, but neither the data (a refreshed dataset does not score the world anew) nor the code (the
steps' own fingerprints see to that).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import EXPERIMENTS, ZERO_SHOT, experiment
from t2s_pipeline.systems import watched_folder
from t2s_pipeline.systems.resolve import system
from t2s_pipeline.training import checkpoints


@dataclass(frozen=True)
class Candidate:
    """A complete checkpoint that can be evaluated."""

    system: str
    run: str
    step: int
    final: bool
    dataset: str
    """What its run was trained on; its val split decides which checkpoint is best."""
    mark: str
    """Of the weights and the evaluation settings."""
    path: Path


def candidates(settings: Settings) -> tuple[list[Candidate], list[watched_folder.Unusable]]:
    """Every complete checkpoint, of our runs and of the watched folder, and what there is unusable."""
    found: list[Candidate] = []
    unusable: list[watched_folder.Unusable] = []
    ours = _run_folders(settings)
    for folder in ours:
        try:
            complete = checkpoints.complete(folder)
        except InputError as fault:
            unusable.append(watched_folder.Unusable(folder, str(fault)))
            continue
        for checkpoint in complete:
            _add(found, unusable, settings, checkpoint.name, folder.name, checkpoint, checkpoint.sha256)
    reserved = frozenset({*ZERO_SHOT, *EXPERIMENTS, *(folder.name for folder in ours)})
    foreign, skipped = watched_folder.look(settings, reserved)
    for checkpoint in foreign:
        _add(found, unusable, settings, checkpoint.system, checkpoint.run, checkpoint, checkpoint.mark)
    return found, [*unusable, *skipped]


def _add(
    found: list[Candidate],
    unusable: list[watched_folder.Unusable],
    settings: Settings,
    name: str,
    run: str,
    checkpoint: checkpoints.Checkpoint | watched_folder.ForeignCheckpoint,
    weights: str,
) -> None:
    try:
        plan = settings_of(checkpoint.experiment)
        answering = system(name, settings)
    except T2SError as fault:
        unusable.append(watched_folder.Unusable(checkpoint.path, str(fault)))
        return
    # Where the weights lie is no setting: a run that is moved is not evaluated again.
    mark = fingerprint(weights=weights, answering=replace(answering, prompter=""))
    found.append(Candidate(name, run, checkpoint.step, checkpoint.final, plan.dataset, mark, checkpoint.path))


def settings_of(told: dict | str) -> Experiment:
    """The experiment whose settings a checkpoint carries, or that it names.

    Raises:
        InputError: if they are no settings, or there is no experiment of that name.
    """
    return Experiment.from_json(told) if isinstance(told, dict) else experiment(told)


def home_dataset(settings: Settings, name: str) -> str:
    """The dataset on whose val split a system is judged: the one that its experiment trains on.

    Raises:
        T2SError: if there is no such system, or its checkpoint is not complete.
    """
    if name in ZERO_SHOT:
        return ZERO_SHOT[name].dataset
    known, unusable = candidates(settings)
    for candidate in known:
        if candidate.system == name:
            return candidate.dataset
    system(name, settings)  # says what there is
    reasons = "; ".join(str(one) for one in unusable)
    raise InputError(f"{name} has no complete checkpoint{f' ({reasons})' if reasons else ''}.")


def _run_folders(settings: Settings) -> list[Path]:
    if not settings.runs.is_dir():
        return []
    return sorted(path for path in settings.runs.iterdir() if path.is_dir() and not path.name.startswith("."))
