"""A system's whole evaluation on a split, and on which splits the chosen checkpoints are tried."""

import json
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import BENCHMARKS
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, write_partition
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.steps.answers import Complete, Segment
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import score_under_every_protocol
from t2s_pipeline.steps.step import StepReport
from t2s_pipeline.systems import watched_folder
from t2s_pipeline.systems.watched_folder import ForeignCheckpoint

VALIDATION, TEST = "val", "test"


def evaluate(runner: Runner, system: System, dataset: str, split: str) -> list[StepReport]:
    """Completions, masks and scores of a system on a split. Finished work is not done again.

    Raises:
        NotMaterializedError: if the split is not in the lake.
    """
    register(runner.settings, system.name)
    reports = [
        *runner.run(Complete(system, dataset, split)),
        *runner.run(Segment(system, dataset, split)),
    ]
    for step in score_under_every_protocol(system.name, system.segmenter_name, dataset, split):
        reports += runner.run(step)
    return reports


def is_read(settings: Settings, dataset: str, split: str) -> bool:
    """Whether the split is in the lake, so that systems can be evaluated on it."""
    return {"dataset": dataset, "split": split} in list_partitions(settings.lake, schema.SAMPLES)


def final_splits(settings: Settings, dataset: str) -> Iterator[tuple[str, str]]:
    """(dataset, split) on which the chosen checkpoint of a run trained on ``dataset`` is scored.

    These are the test splits of ``dataset`` and of the referring benchmarks, as far as they are in the lake.
    """
    referring = [benchmark.name for benchmark in BENCHMARKS.values() if benchmark.is_referring]
    for key in dict.fromkeys((dataset, *referring)):
        if is_read(settings, key, TEST):
            yield key, TEST


def register(settings: Settings, name: str) -> None:
    """List a foreign run's checkpoints in the table ``checkpoints``, where our own runs list theirs. Idempotent."""
    folder = settings.watched / name.partition("--")[0]
    if not folder.is_dir():
        return
    complete, _ = watched_folder.look_into(folder)
    if not any(checkpoint.system == name for checkpoint in complete):
        return
    rows = [_row(checkpoint) for checkpoint in complete]
    counted = fingerprint(rows=[{**row, "created_at": str(row["created_at"])} for row in rows])
    table = pa.Table.from_pylist(rows, schema=schema.CHECKPOINTS.schema)
    write_partition(settings.lake, schema.CHECKPOINTS, {"run": folder.name}, table, counted)


def _row(checkpoint: ForeignCheckpoint) -> dict[str, str | int | datetime]:
    """A row of the table ``checkpoints``."""
    return {
        "system": checkpoint.system,
        "experiment": checkpoint.experiment.name,
        "step": checkpoint.step,
        "path": str(checkpoint.path),
        "sha256": weights_sha256(checkpoint.path),
        "base_model": checkpoint.experiment.prompter,
        "settings": json.dumps(checkpoint.experiment.as_json(), sort_keys=True),
        "created_at": checkpoint.created_at,
    }
