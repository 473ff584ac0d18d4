"""A split of a dataset → its images, samples, selections, rejects and notes in the lake.

The records are written one row group at a time, so memory does not grow with the split. The partitions appear
together at the end.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.distribution.pools import Cluster
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.loss import root_entry
from t2s_pipeline.datasets.question_choice import question_choices
from t2s_pipeline.datasets.reading import read_records
from t2s_pipeline.datasets.records import ImageRecord, NoteRecord, Record, RejectRecord, SampleRecord
from t2s_pipeline.lake.schema import IMAGES, NOTES, REJECTS, SAMPLES, SELECTIONS
from t2s_pipeline.lake.store import replacing_partitions
from t2s_pipeline.lake.table import Table

TABLES = (IMAGES, SAMPLES, SELECTIONS, REJECTS, NOTES)
"""The tables that a split is read into."""

IMAGES_AT_ONCE = 16
BYTES_AT_ONCE = 32 * 1024 * 1024
ROWS_AT_ONCE = 1024
_SILENT = NoProgress()


Check = Callable[[Mapping[Path, bytes], int], None]
"""Takes the sha256 of each file that was read, and the number of samples; raises if they are not to be used."""


def accept_all(contents: Mapping[Path, bytes], samples: int) -> None:
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
    contents: dict[Path, bytes] = {}
    samples = 0
    records = chain(_rule_notes(dataset), read_records(dataset, split, progress, contents, cluster))
    partition = {"dataset": dataset.name, "split": split}
    with replacing_partitions(lake, TABLES, partition, fingerprint, root_entry(dataset)) as writers:
        writer_of = {table.name: writer for table, writer in zip(TABLES, writers, strict=True)}
        for table, rows in _batches(dataset.published_rule, records):
            writer_of[table.name].add(pa.RecordBatch.from_pylist(rows, schema=table.schema))
            samples += len(rows) if table is SAMPLES else 0
        check(contents, samples)


def _rule_notes(dataset: Dataset) -> list[NoteRecord]:
    """The settings by which pixels are read, if there are any, as a note."""
    settings = dataset.reader.rules.settings
    return [NoteRecord("", "pixel_rules", json.dumps(settings), is_warning=False)] if settings else []


def _batches(published_rule: str, records: Iterable[Record]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """The records as rows of their tables, in batches."""
    images: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    choices: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    small = ((SAMPLES, samples), (SELECTIONS, choices), (REJECTS, rejects), (NOTES, notes))
    size = 0
    for record in records:
        match record:
            case ImageRecord():
                images.append(_image_row(record))
                size += len(record.data)
            case SampleRecord():
                samples.append(_sample_row(record))
                choices += map(vars, question_choices(published_rule, record.sample_id, len(record.questions)))
            case RejectRecord():
                rejects.append(vars(record))
            case NoteRecord():
                notes.append(vars(record))
        if len(images) == IMAGES_AT_ONCE or size > BYTES_AT_ONCE:
            yield IMAGES, images.copy()
            images.clear()
            size = 0
        for table, rows in small:
            if len(rows) >= ROWS_AT_ONCE:
                yield table, rows.copy()
                rows.clear()
    for table, rows in ((IMAGES, images), *small):
        if rows:
            yield table, rows


def _image_row(image: ImageRecord) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        "sha256": image.sha256.hex(),
        "bytes": image.data,
        "crs": image.place.named_crs if image.place else None,
        "transform": list(image.place.transform) if image.place else None,
    }


def _sample_row(sample: SampleRecord) -> dict[str, Any]:
    return {
        "sample_id": sample.sample_id,
        "image_id": sample.image_id,
        "category": sample.category,
        "questions": list(sample.questions),
        "answers": list(sample.answers),
        "mask": sample.mask.as_arrow(),
        "mask_area": sample.area,
        "is_empty": sample.area == 0,
        "contains": None if sample.contains is None else list(sample.contains),
        "morphology": sample.shape.morphology if sample.shape else None,
        "slenderness": sample.shape.slenderness if sample.shape else None,
    }
