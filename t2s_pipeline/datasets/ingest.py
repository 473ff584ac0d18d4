"""A split of a benchmark → its images, samples, selections and rejects in the lake.

Everything streams through, a row group at a time, so memory does not grow with the split; the four partitions
appear together at the end.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.datasets.question_choice import question_choices
from t2s_pipeline.datasets.reading import read_records
from t2s_pipeline.datasets.records import ImageRecord, Reader, Record, RejectRecord, SampleRecord
from t2s_pipeline.datasets.registry import reader_of
from t2s_pipeline.lake.schema import IMAGES, REJECTS, SAMPLES, SELECTIONS
from t2s_pipeline.lake.store import replacing_partitions
from t2s_pipeline.lake.table import Table

TABLES = (IMAGES, SAMPLES, SELECTIONS, REJECTS)
"""What a split is read into."""

IMAGES_AT_ONCE = 16
BYTES_AT_ONCE = 32 * 1024 * 1024
ROWS_AT_ONCE = 1024
_SILENT = NoProgress()


@dataclass(frozen=True)
class IngestReport:
    """What an ingested split holds; ``rejects`` counts what was set aside, by reason."""

    images: int
    samples: int
    empty: int
    questions: int
    rejects: dict[str, int]


@dataclass(frozen=True)
class DatasetTables:
    """A split in memory, for small ones."""

    images: pa.Table
    samples: pa.Table
    selections: pa.Table
    rejects: pa.Table


def ingest_split(
    lake: Path,
    name: str,
    root: Path,
    split: str,
    fingerprint: str = "",
    progress: Progress = _SILENT,
    reader: Reader | None = None,
) -> IngestReport:
    """Write the split's partitions of dataset ``name``, all in one step and each carrying ``fingerprint``.

    Args:
        reader: of a dataset that its name does not tell the layout of.

    Raises:
        InputError: if the folder is missing or not in the reader's layout. A bad file inside it is a reject.
    """
    records = read_records(reader or reader_of(name), root, split, progress)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with replacing_partitions(lake, TABLES, {"dataset": name, "split": split}, fingerprint) as writers:
        writer_of = {table.name: writer for table, writer in zip(TABLES, writers, strict=True)}
        for table, rows in _batches(name, records):
            writer_of[table.name].add(pa.RecordBatch.from_pylist(rows, schema=table.schema))
            counts[table.name] += len(rows)
            if table is SAMPLES:
                counts["empty"] += sum(row["is_empty"] for row in rows)
                counts["questions"] += sum(len(row["questions"]) for row in rows)
            elif table is REJECTS:
                reasons.update(row["reason"] for row in rows)
    return IngestReport(counts[IMAGES.name], counts[SAMPLES.name], counts["empty"], counts["questions"], dict(reasons))


def read_dataset(
    name: str, root: Path, split: str, progress: Progress = _SILENT, reader: Reader | None = None
) -> DatasetTables:
    """The same tables in memory: for tests, and for datasets that fit."""
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
    for table, more in _batches(name, read_records(reader or reader_of(name), root, split, progress)):
        rows[table.name] += more
    return DatasetTables(*(pa.Table.from_pylist(rows[table.name], schema=table.schema) for table in TABLES))


def _batches(name: str, records: Iterable[Record]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """The records as rows of their tables, some at a time."""
    images: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    small = ((SAMPLES, samples), (SELECTIONS, chosen), (REJECTS, rejects))
    size = 0
    for record in records:
        match record:
            case ImageRecord():
                images.append(_image_row(record))
                size += len(record.data)
            case SampleRecord():
                samples.append(_sample_row(record))
                chosen += map(vars, question_choices(name, record.sample_id, len(record.questions)))
            case RejectRecord():
                rejects.append(vars(record))
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
    }
