"""A split of a dataset → its images, samples, selections, rejects and notes in the lake.

The records are written one row group at a time, so memory does not grow with the split. The partitions appear
together at the end.
"""

import json
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

from t2s_pipeline.core.distribution.pools import Cluster
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.datasets.batches import batches
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.loss import root_entry
from t2s_pipeline.datasets.reading import read_records
from t2s_pipeline.datasets.records import NoteRecord
from t2s_pipeline.lake.schema import IMAGES, NOTES, REJECTS, SAMPLES, SELECTIONS
from t2s_pipeline.lake.store import replacing_partitions
from t2s_pipeline.vision.image_files import ReadFile

TABLES = (IMAGES, SAMPLES, SELECTIONS, REJECTS, NOTES)
"""The tables that a split is read into."""

_SILENT = NoProgress()


Check = Callable[[Mapping[Path, ReadFile], int], None]
"""Takes the files that were read, and the number of samples; raises if they are not to be used."""


def accept_all(read: Mapping[Path, ReadFile], samples: int) -> None:
    """Use whatever was read."""


def ingest_split(
    lake: LakePlace,
    dataset: Dataset,
    split: str,
    fingerprint: str = "",
    progress: Progress = _SILENT,
    check: Check = accept_all,
    cluster: Cluster | None = None,
) -> None:
    """Read a split into the tables of ``TABLES``. Their partitions appear in one step.

    Args:
        lake: where the tables are.
        dataset: where the files are and how they are read.
        split: train, val or test.
        fingerprint: what the partitions are made from; it is stored with them.
        progress: where to report how many images are read.
        check: called when all is read, before the partitions appear.
        cluster: reads a large split, if there is one.

    Raises:
        InputError: if the folder is missing or not in the reader's layout. A bad file inside it becomes a reject.
    """
    read: dict[Path, ReadFile] = {}
    samples = 0
    records = chain(_rule_notes(dataset), read_records(dataset, split, progress, read, cluster))
    partition = {"dataset": dataset.name, "split": split}
    with replacing_partitions(lake, TABLES, partition, fingerprint, root_entry(dataset)) as writers:
        writer_of = {table.name: writer for table, writer in zip(TABLES, writers, strict=True)}
        for table, rows in batches(dataset.published_rule, records):
            writer_of[table.name].add(rows)
            samples += len(rows) if table is SAMPLES else 0
        check(read, samples)


def _rule_notes(dataset: Dataset) -> list[NoteRecord]:
    """The settings by which pixels are read, if there are any, as a note."""
    settings = dataset.reader.rules.settings
    return [NoteRecord("", "pixel_rules", json.dumps(settings), is_warning=False)] if settings else []
