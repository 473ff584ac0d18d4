"""A split's files → its records, in order, and the fingerprint of those files.

Sources are decoded in threads, since decoding leaves the interpreter lock alone, and kept in order.
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
from t2s_pipeline.datasets.records import ImageRecord, Reader, Record, SampleRecord
from t2s_pipeline.datasets.registry import reader_of

_SILENT = NoProgress()
A, B = TypeVar("A"), TypeVar("B")


def split_fingerprint(
    dataset: str, root: Path, split: str, progress: Progress = _SILENT, reader: Reader | None = None
) -> str:
    """sha256 over the names and contents of every file the split is read from.

    Times of change play no part, so a copied folder is the same data.
    """
    files = (reader or reader_of(dataset)).files(root, split)
    digest = hashlib.sha256()
    progress.start(f"checking {split}", len(files))
    with ThreadPoolExecutor(_threads()) as pool:
        contents = _in_order(pool, lambda name: _content_hash(root / name), files)
        for done, (name, content) in enumerate(zip(files, contents, strict=True), start=1):
            digest.update(os.fsencode(name) + b"\0" + content)
            progress.advance(done)
    return digest.hexdigest()


def _content_hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        # Ingest will set the file aside for the same reason.
        return f"unreadable: {error.errno}".encode()


def read_records(reader: Reader, root: Path, split: str, progress: Progress = _SILENT) -> Iterator[Record]:
    """Every record of the split, in the order of its sources; files of the same bytes become one image.

    Raises:
        InputError: at once, if the folder is missing or not in the reader's layout.
    """
    return _records(reader, root, split, reader.sources(root, split), progress)


def _records(reader: Reader, root: Path, split: str, sources: Sequence[Any], progress: Progress) -> Iterator[Record]:
    progress.start(f"reading {split}", len(sources))
    stored: dict[bytes, str] = {}
    with ThreadPoolExecutor(_threads()) as pool:
        for done, records in enumerate(_in_order(pool, lambda s: _read(reader, root, s), sources), start=1):
            yield from _once(records, stored)
            progress.advance(done)


def _read(reader: Reader, root: Path, source: Any) -> list[Record]:
    """The source's records, what is costly about them computed while we are in a thread of our own."""
    records = reader.read(root, source)
    for record in records:
        match record:
            case ImageRecord():
                _ = record.sha256
            case SampleRecord():
                _ = record.area
    return records


def _once(records: list[Record], stored: dict[bytes, str]) -> Iterator[Record]:
    """A source's records, without the image if it is stored already; its samples then belong to that one."""
    same: dict[str, str] = {}
    for record in records:
        if isinstance(record, ImageRecord):
            known = stored.setdefault(record.sha256, record.image_id)
            if known != record.image_id:
                same[record.image_id] = known
                continue
        elif isinstance(record, SampleRecord) and record.image_id in same:
            record = replace(record, image_id=same[record.image_id])
        yield record


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
