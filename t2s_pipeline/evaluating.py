"""Who is to be evaluated, under which settings, and doing it: what sensors, schedules and `t2s evaluate` share.

A checkpoint counts once for each set of evaluation settings: its mark covers the weights, how it is asked, how it
answers and who draws, but neither the data (a refreshed dataset does not score the world anew) nor the code (the
steps' own fingerprints see to that).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.elsewhere import checkpoints as elsewhere
from t2s_pipeline.errors import InputError, T2SError
from t2s_pipeline.experiments import EXPERIMENTS, ZERO_SHOT, Experiment, experiment, system
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, write_partition
from t2s_pipeline.provenance import fingerprint
from t2s_pipeline.settings import Settings
from t2s_pipeline.steps import StepReport, Steps
from t2s_pipeline.training import checkpoints

VALIDATION, TEST = "val", "test"
REFERRING = ("rrsis-d", "risbench", "refsegrs")
"""The benchmarks that the chosen checkpoints are tried on without having seen them (the paper's Table 3)."""


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


def candidates(settings: Settings) -> tuple[list[Candidate], list[elsewhere.Unusable]]:
    """Every complete checkpoint, of our runs and of the watched folder, and what there is unusable."""
    found: list[Candidate] = []
    unusable: list[elsewhere.Unusable] = []
    ours = _run_folders(settings)
    for folder in ours:
        try:
            complete = checkpoints.complete(folder)
        except InputError as fault:
            unusable.append(elsewhere.Unusable(folder, str(fault)))
            continue
        for checkpoint in complete:
            _add(found, unusable, settings, checkpoint.name, folder.name, checkpoint, checkpoint.sha256)
    reserved = frozenset({*ZERO_SHOT, *EXPERIMENTS, *(folder.name for folder in ours)})
    foreign, skipped = elsewhere.look(settings, reserved)
    for checkpoint in foreign:
        _add(found, unusable, settings, checkpoint.system, checkpoint.run, checkpoint, checkpoint.mark)
    return found, [*unusable, *skipped]


def _add(
    found: list[Candidate],
    unusable: list[elsewhere.Unusable],
    settings: Settings,
    name: str,
    run: str,
    checkpoint: checkpoints.Checkpoint | elsewhere.ForeignCheckpoint,
    weights: str,
) -> None:
    try:
        plan = settings_of(checkpoint.experiment)
        answering = system(name, settings)
    except T2SError as fault:
        unusable.append(elsewhere.Unusable(checkpoint.path, str(fault)))
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


def is_read(settings: Settings, dataset: str, split: str) -> bool:
    """Whether the split is in the lake, so that it can be evaluated on."""
    return {"dataset": dataset, "split": split} in list_partitions(settings.lake, schema.SAMPLES)


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


def register(settings: Settings, name: str) -> None:
    """List a foreign run's checkpoints in the table ``checkpoints``, where our own runs list theirs; idempotent."""
    known = [one for one in elsewhere.look(settings)[0] if one.run == name.partition("--")[0]]
    if not known or not any(one.system == name for one in known):
        return
    rows = [_row(one) for one in known]
    mark = fingerprint(rows=[{**row, "created_at": row["created_at"].isoformat()} for row in rows])
    table = pa.Table.from_pylist(rows, schema=schema.CHECKPOINTS.schema)
    write_partition(settings.lake, schema.CHECKPOINTS, {"run": known[0].run}, table, mark)


def _row(one: elsewhere.ForeignCheckpoint) -> dict[str, str | int | datetime]:
    plan = settings_of(one.experiment)
    return {
        "checkpoint": one.system,
        "experiment": plan.name,
        "step": one.step,
        "path": str(one.path),
        "sha256": checkpoints.weights_sha256(one.path),
        "base_model": plan.prompter,
        "settings": json.dumps(plan.as_json(), sort_keys=True),
        "created_at": one.created_at,
    }


def evaluate(steps: Steps, name: str, dataset: str, split: str) -> list[StepReport]:
    """Completions, masks and scores of a system on a split; what stands is not done again."""
    register(steps.settings, name)
    place = (name, dataset, split)
    return [steps.complete(*place), steps.segment(*place), *steps.score(*place)]


def final_places(settings: Settings, dataset: str) -> Iterator[tuple[str, str]]:
    """Where the chosen checkpoint of a run trained on ``dataset`` is scored: the test splits that are in the lake."""
    for key in dict.fromkeys((dataset, *REFERRING)):
        if is_read(settings, key, TEST):
            yield key, TEST


def _run_folders(settings: Settings) -> list[Path]:
    if not settings.runs.is_dir():
        return []
    return sorted(path for path in settings.runs.iterdir() if path.is_dir() and not path.name.startswith("."))
