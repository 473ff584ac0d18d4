"""A split of a benchmark → its images, samples and rejects in the lake.

Images stream through, a row group at a time; what is kept until the end is small (questions, run lengths,
reasons). Sources are decoded in threads, since decoding leaves the interpreter lock alone, and kept in order.
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from t2s_pipeline.datasets.records import ImageRecord, Reader, Record, RejectRecord, SampleRecord
from t2s_pipeline.datasets.registry import reader_of
from t2s_pipeline.lake.schema import IMAGES, REJECTS, SAMPLES
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.progress import NoProgress, Progress

IMAGES_AT_ONCE = 16
BYTES_AT_ONCE = 32 * 1024 * 1024
_SILENT = NoProgress()
A, B = TypeVar("A"), TypeVar("B")


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
    rejects: pa.Table


def ingest_split(
    lake: Path, name: str, root: Path, split: str, fingerprint: str = "", progress: Progress = _SILENT
) -> IngestReport:
    """Write the split's three partitions of dataset ``name``, each in one step and carrying ``fingerprint``.

    The rejects are written last: where they carry the fingerprint, the other two do.

    Raises:
        InputError: if the folder is missing or not in the reader's layout. A bad file inside it is a reject.
    """
    partition = {"dataset": name, "split": split}
    sorted_out = _SortedOut()
    records = read_records(reader_of(name), root, split, progress)
    images = write_partition(lake, IMAGES, partition, sorted_out.images(records), fingerprint)
    samples, rejects = sorted_out.samples_table(), sorted_out.rejects_table()
    write_partition(lake, SAMPLES, partition, samples, fingerprint)
    write_partition(lake, REJECTS, partition, rejects, fingerprint)
    return IngestReport(
        images=images,
        samples=len(samples),
        empty=sum(row["is_empty"] for row in sorted_out.samples),
        questions=sum(len(row["questions"]) for row in sorted_out.samples),
        rejects=dict(Counter(row["reason"] for row in sorted_out.rejects)),
    )


def read_dataset(name: str, root: Path, split: str, progress: Progress = _SILENT) -> DatasetTables:
    """The same three tables in memory: for tests, and for datasets that fit."""
    sorted_out = _SortedOut()
    batches = list(sorted_out.images(read_records(reader_of(name), root, split, progress)))
    images = pa.Table.from_batches(batches, schema=IMAGES.schema)
    return DatasetTables(images, sorted_out.samples_table(), sorted_out.rejects_table())


def split_fingerprint(name: str, root: Path, split: str) -> str:
    """sha256 over the names and contents of every file the split is read from.

    Times of change play no part, so a copied folder is the same data.
    """
    files = reader_of(name).files(root, split)
    digest = hashlib.sha256()
    with ThreadPoolExecutor(_threads()) as pool:
        for path, content in zip(files, pool.map(_content_hash, files, chunksize=64), strict=True):
            digest.update(os.fsencode(path.relative_to(root / split)) + b"\0" + content)
    return digest.hexdigest()


def _content_hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        # Ingest will set the file aside for the same reason.
        return f"unreadable: {error.errno}".encode()


def read_records(reader: Reader, root: Path, split: str, progress: Progress = _SILENT) -> Iterator[Record]:
    """Every record of the split, in the order of its sources.

    Raises:
        InputError: at once, if the folder is missing or not in the reader's layout.
    """
    return _records(reader, root, split, reader.sources(root, split), progress)


def _records(reader: Reader, root: Path, split: str, sources: Sequence[Any], progress: Progress) -> Iterator[Record]:
    progress.start(f"reading {split}", len(sources))
    with ThreadPoolExecutor(_threads()) as pool:
        for done, records in enumerate(_in_order(pool, lambda s: reader.read(root, s), sources), start=1):
            yield from records
            progress.advance(done)


def _in_order(pool: ThreadPoolExecutor, call: Callable[[A], B], arguments: Iterable[A]) -> Iterator[B]:
    """As ``pool.map``, but no more than a few results wait to be taken, however slow the taker."""
    waiting: deque[Future[B]] = deque()
    for argument in arguments:
        waiting.append(pool.submit(call, argument))
        if len(waiting) > 2 * _threads():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _threads() -> int:
    return min(8, os.cpu_count() or 1)


@dataclass
class _SortedOut:
    """Samples and rejects gathered while the images stream by."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)

    def images(self, records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        size = 0
        for record in records:
            match record:
                case ImageRecord():
                    rows.append(_image_row(record))
                    size += len(record.data)
                case SampleRecord():
                    self.samples.append(_sample_row(record))
                case RejectRecord():
                    self.rejects.append(vars(record))
            if len(rows) == IMAGES_AT_ONCE or size > BYTES_AT_ONCE:
                yield pa.RecordBatch.from_pylist(rows, schema=IMAGES.schema)
                rows, size = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=IMAGES.schema)

    def samples_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.samples, schema=SAMPLES.schema)

    def rejects_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.rejects, schema=REJECTS.schema)


def _image_row(image: ImageRecord) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(image.data).hexdigest(),
        "bytes": image.data,
    }


def _sample_row(sample: SampleRecord) -> dict[str, Any]:
    area = sample.mask.area
    return {
        "sample_id": sample.sample_id,
        "image_id": sample.image_id,
        "category": sample.category,
        "questions": list(sample.questions),
        "answers": list(sample.answers),
        "mask": sample.mask.as_arrow(),
        "mask_area": area,
        "is_empty": area == 0,
    }
