"""A split's files → its records, in order, and the fingerprint of those files.

Threads decode the sources, because decoding releases the interpreter lock. The records keep the order of the sources.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.records import ImageRecord, Record, SampleRecord

_SILENT = NoProgress()
Argument = TypeVar("Argument")
Result = TypeVar("Result")


def split_fingerprint(dataset: Dataset, split: str, progress: Progress = _SILENT) -> str:
    """sha256 over the names and contents of every file that the split is read from.

    Modification times do not count, so a copied folder is the same data.

    Raises:
        InputError: if the folder is missing or not in the reader's layout.
    """
    files = dataset.reader.files(dataset.root, split)
    digest = hashlib.sha256()
    progress.start(f"checking {split}", len(files))
    with ThreadPoolExecutor(_threads()) as pool:
        contents = _in_order(pool, lambda name: _content_hash(dataset.root / name), files)
        for done, (name, content) in enumerate(zip(files, contents, strict=True), start=1):
            digest.update(os.fsencode(name) + b"\0" + content)
            progress.advance(done)
    return digest.hexdigest()


def _content_hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        # Ingest will reject the file for the same reason.
        return f"unreadable: {error.errno}".encode()


def read_records(dataset: Dataset, split: str, progress: Progress = _SILENT) -> Iterator[Record]:
    """Every record of the split, in the order of its sources; files of the same bytes become one image.

    Raises:
        InputError: before the first record, if the folder is missing or not in the reader's layout.
    """
    return _records(dataset, split, dataset.reader.sources(dataset.root, split), progress)


def _records(dataset: Dataset, split: str, sources: Sequence[Any], progress: Progress) -> Iterator[Record]:
    progress.start(f"reading {split}", len(sources))
    stored: dict[bytes, str] = {}
    with ThreadPoolExecutor(_threads()) as pool:
        batches = _in_order(pool, lambda source: _read(dataset, source), sources)
        for done, records in enumerate(batches, start=1):
            yield from _once(records, stored)
            progress.advance(done)


def _read(dataset: Dataset, source: Any) -> list[Record]:
    """The source's records. Their hashes and areas are computed here, in the source's own thread."""
    records = dataset.reader.read(dataset.root, source)
    for record in records:
        match record:
            case ImageRecord():
                _ = record.sha256
            case SampleRecord():
                _ = record.area
    return records


def _once(records: list[Record], stored: dict[bytes, str]) -> Iterator[Record]:
    """A source's records. An image that is stored already is left out, and its samples get the id of the stored one."""
    same: dict[str, str] = {}
    for record in records:
        if isinstance(record, ImageRecord):
            stored_id = stored.setdefault(record.sha256, record.image_id)
            if stored_id != record.image_id:
                same[record.image_id] = stored_id
                continue
        elif isinstance(record, SampleRecord) and record.image_id in same:
            record = replace(record, image_id=same[record.image_id])
        yield record


def _in_order(
    pool: ThreadPoolExecutor, call: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> Iterator[Result]:
    """As ``pool.map``, but only a few results wait at a time, however slow the consumer is."""
    waiting: deque[Future[Result]] = deque()
    for argument in arguments:
        waiting.append(pool.submit(call, argument))
        if len(waiting) > 2 * _threads():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _threads() -> int:
    return min(8, os.cpu_count() or 1)
