"""Evaluating a checkpoint again, to see whether it still reaches its accepted scores.

Everything is computed again from the weights on, in a temporary T2S_HOME that borrows images and samples. The
accepted completions, masks and scores stay as they are: a bad result is recorded, and replaces nothing.
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
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.evaluation.metrics import compare, summarize
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import FILE_NAME, Partition, partition_file
from t2s_pipeline.lake.store import append_rows, copy_partition, read_partition
from t2s_pipeline.lake.summaries import numbers
from t2s_pipeline.methods.system import System
from t2s_pipeline.steps.answers import Complete, Segment
from t2s_pipeline.steps.runner import Runner, keep_no_record
from t2s_pipeline.steps.scores import Score
from t2s_pipeline.steps.step import StepReport

PROTOCOL = "strict"


def rescore(runner: Runner, system: System, dataset: str, split: str) -> StepReport:
    """Evaluate again and add a row to ``rescores``.

    Raises:
        NotMaterializedError: if there are no accepted scores to compare with.
    """
    lake = runner.settings.lake
    images_of = {"dataset": dataset, "split": split}
    scored = {**images_of, "system": system.name, "protocol": PROTOCOL}
    accepted = read_partition(lake, schema.SAMPLE_SCORES, scored)
    with _temporary_home(runner.settings, images_of) as home:
        elsewhere = replace(runner.settings, home=home, lake_address="")
        again = replace(runner, settings=elsewhere, fresh=True, record=keep_no_record)
        again.run(Complete(system, dataset, split))
        again.run(Segment(system, dataset, split))
        again.run(Score(system.name, system.segmenter_name, dataset, split, PROTOCOL))
        scores = read_partition(elsewhere.lake, schema.SAMPLE_SCORES, scored)
    partition = {**images_of, "system": system.name}
    with only_one(runner.settings.home, f"rescores of {system.name} on {dataset}-{split}", runner.say):
        append_rows(lake, schema.RESCORES, partition, _row(scores, accepted))
    count, metadata = numbers(lake, schema.RESCORES, partition)
    report = StepReport(schema.RESCORES.name, partition, count, False, metadata)
    runner.say(str(report))
    return report


def _row(scores: pa.Table, accepted: pa.Table) -> pa.Table:
    """The new scores against the accepted ones: one row of ``rescores``."""
    n, estimates = compare(scores, accepted)
    difference = estimates["giou"]
    row = {
        "scored_at": datetime.now(UTC),
        "n": n,
        "giou": summarize(scores).giou.value,
        "accepted_giou": summarize(accepted).giou.value,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "dropped": difference.high < 0,
    }
    return pa.Table.from_pylist([row], schema=schema.RESCORES.schema)


@contextmanager
def _temporary_home(settings: Settings, images_of: Partition) -> Iterator[Path]:
    """A T2S_HOME that reads the images and samples of the real one; removed at the end."""
    root = settings.home / "tmp"
    for leftover in root.glob("rescore-*"):
        if is_abandoned(leftover.name):
            shutil.rmtree(leftover, ignore_errors=True)
    home = root / f"rescore-{owner_mark()}-{secrets.token_hex(4)}"
    try:
        for table in (schema.IMAGES, schema.SAMPLES):
            folder = partition_file(home / "lake", table, images_of).parent
            folder.parent.mkdir(parents=True)
            if isinstance(settings.lake, Path):
                os.symlink(partition_file(settings.lake, table, images_of).parent, folder)
            else:
                folder.mkdir()
                copy_partition(settings.lake, table, images_of, folder / FILE_NAME)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
