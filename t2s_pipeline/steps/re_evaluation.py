"""Evaluating a checkpoint anew to see whether it still does what its accepted scores say.

Everything is made again from the weights on, in a scratch T2S_HOME that borrows images, samples and checkpoints, so
that the accepted completions, masks and scores stay what they are: a night that went wrong is recorded, not adopted.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.atomic_files import is_abandoned, owner_mark
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.evaluation.metrics import compare, summarize
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import Partition, list_partitions, partition_file, read_partition, write_partition
from t2s_pipeline.lake.summaries import numbers
from t2s_pipeline.steps.steps import StepReport, Steps

PROTOCOL = "strict"


def rescore(steps: Steps, name: str, dataset: str, split: str) -> StepReport:
    """Evaluate anew and add a row to ``rescores``.

    Raises:
        NotMaterializedError: if there are no accepted scores to hold it against.
    """
    settings, place = steps.settings, {"dataset": dataset, "split": split}
    scored = {**place, "system": name, "protocol": PROTOCOL}
    accepted = read_partition(settings.lake, schema.SAMPLE_SCORES, scored)
    with _scratch(settings, place) as scratch:
        anew = replace(steps, settings=replace(settings, home=scratch), fresh=True)
        anew.complete(name, dataset, split)
        anew.segment(name, dataset, split)
        anew.score(name, dataset, split)
        now = read_partition(scratch / "lake", schema.SAMPLE_SCORES, scored)
    n, estimates = compare(now, accepted)
    difference = estimates["giou"]
    row = {
        "scored_at": datetime.now(UTC),
        "n": n,
        "giou": summarize(now).giou.value,
        "accepted_giou": summarize(accepted).giou.value,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "dropped": difference.high < 0,
    }
    partition = {**place, "system": name}
    rows = [pa.Table.from_pylist([row], schema=schema.RESCORES.schema)]
    if partition in list_partitions(settings.lake, schema.RESCORES):
        rows.insert(0, read_partition(settings.lake, schema.RESCORES, partition))
    write_partition(settings.lake, schema.RESCORES, partition, pa.concat_tables(rows))
    count, described = numbers(settings.lake, schema.RESCORES, partition)
    report = StepReport(schema.RESCORES.name, partition, count, False, described)
    steps.say(str(report))
    return report


@contextmanager
def _scratch(settings: Settings, place: Partition) -> Iterator[Path]:
    """A T2S_HOME of its own that reads the split, the runs and the foreign checkpoints of the real one."""
    root = settings.home / "tmp"
    for left in root.glob("rescore-*"):
        if is_abandoned(left.name):
            shutil.rmtree(left, ignore_errors=True)
    home = root / f"rescore-{owner_mark()}-{secrets.token_hex(4)}"
    try:
        for table in (schema.IMAGES, schema.SAMPLES):
            folder = partition_file(home / "lake", table, place).parent
            folder.parent.mkdir(parents=True)
            os.symlink(partition_file(settings.lake, table, place).parent, folder)
        for source, link in ((settings.runs, "runs"), (settings.watched, "checkpoints")):
            if source.is_dir():
                os.symlink(source, home / link)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
