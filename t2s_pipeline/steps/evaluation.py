"""Doing what is due: a system's evaluation on a split, and where the chosen ones are tried."""

import json
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, write_partition
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.steps.steps import StepReport, Steps
from t2s_pipeline.systems import watched_folder
from t2s_pipeline.systems.candidates import settings_of

VALIDATION, TEST = "val", "test"
REFERRING = ("rrsis-d", "risbench", "refsegrs")
"""The benchmarks that the chosen checkpoints are tried on without having seen them (the paper's Table 3)."""


def is_read(settings: Settings, dataset: str, split: str) -> bool:
    """Whether the split is in the lake, so that it can be evaluated on."""
    return {"dataset": dataset, "split": split} in list_partitions(settings.lake, schema.SAMPLES)


def register(settings: Settings, name: str) -> None:
    """List a foreign run's checkpoints in the table ``checkpoints``, where our own runs list theirs; idempotent."""
    known = [one for one in watched_folder.look(settings)[0] if one.run == name.partition("--")[0]]
    if not known or not any(one.system == name for one in known):
        return
    rows = [_row(one) for one in known]
    mark = fingerprint(rows=[{**row, "created_at": row["created_at"].isoformat()} for row in rows])
    table = pa.Table.from_pylist(rows, schema=schema.CHECKPOINTS.schema)
    write_partition(settings.lake, schema.CHECKPOINTS, {"run": known[0].run}, table, mark)


def _row(one: watched_folder.ForeignCheckpoint) -> dict[str, str | int | datetime]:
    plan = settings_of(one.experiment)
    return {
        "system": one.system,
        "experiment": plan.name,
        "step": one.step,
        "path": str(one.path),
        "sha256": weights_sha256(one.path),
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
