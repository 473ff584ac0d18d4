"""A split's files → its records, in order, and the fingerprint of those files.

Several processes decode the sources of a large split, and threads those of a small one, for which processes start too
slowly. The records keep the order of the sources.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from t2s_pipeline.core.distribution.pools import Cluster, TaskPool, large_pool
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.records import ImageRecord, Record, SampleRecord
from t2s_pipeline.vision.image_files import READ_FILES

ENOUGH_FOR_PROCESSES = 400
"""From so many sources on, processes read faster than threads, although they start slowly."""

MOST_WORKERS = 8
"""The most processes or threads that read: one process writes what they read."""

PIECE = 8
"""Sources that a process reads at a time. Each holds an image, so memory stays flat."""

_SILENT = NoProgress()
_TRY_AGAIN = "the tables stay as they were. Check that the folder is there and nothing writes to it, and try again."


@dataclass(frozen=True)
class SplitFiles:
    """The files that a split is read from, as they were when they were hashed.

    Attributes:
        hashes: name below the root → sha256 of the content; a text that begins with ``unreadable`` for a file that this
            user may not read.
    """

    hashes: Mapping[str, bytes]

    @property
    def fingerprint(self) -> str:
        """sha256 over the names and contents. Modification times do not count, so a copied folder is the same data."""
        digest = hashlib.sha256()
        for name, content in self.hashes.items():
            digest.update(os.fsencode(name) + b"\0" + content)
        return digest.hexdigest()


def split_files(dataset: Dataset, split: str, progress: Progress = _SILENT) -> SplitFiles:
    """Hash every file that the split is read from.

    Raises:
        InputError: if the folder is missing or not in the reader's layout, or a file disappears meanwhile.
    """
    files = dataset.reader.files(dataset.root, split)
    hashes: dict[str, bytes] = {}
    progress.start(f"checking {split}", len(files))
    with _threads() as pool:
        names = [files[start : start + PIECE] for start in range(0, len(files), PIECE)]
        for some in pool.in_order(lambda piece: {name: _content_hash(dataset.root / name) for name in piece}, names):
            hashes.update(some)
            progress.advance(len(hashes))
    return SplitFiles(hashes)


def _content_hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError as error:
        raise InputError(f"{path} disappeared while its folder was read: {_TRY_AGAIN}") from error
    except OSError as error:
        # Ingest will reject the file for the same reason.
        return f"unreadable: {error.errno}".encode()


def require_unchanged(dataset: Dataset, files: SplitFiles, contents: Mapping[Path, bytes]) -> None:
    """Compare what was read with the files.

    Args:
        dataset: where the files are.
        files: the files as their fingerprint counts them.
        contents: file → sha256 of what was read; b"" if it could not be read.

    Raises:
        InputError: if a file was read with another content, or could not be read.
    """
    expected = {dataset.root / name: content for name, content in files.hashes.items()}
    changed = [
        path
        for path, content in contents.items()
        if path in expected and content != (b"" if expected[path].startswith(b"unreadable") else expected[path])
    ]
    if changed:
        raise InputError(
            f"{changed[0]} changed or disappeared while it was read ({len(changed):,} such files): {_TRY_AGAIN}"
        )


def read_records(
    dataset: Dataset,
    split: str,
    progress: Progress = _SILENT,
    contents: dict[Path, bytes] | None = None,
    cluster: Cluster | None = None,
) -> Iterator[Record]:
    """Every record of the split, in the order of its sources; files of the same bytes become one image.

    Args:
        dataset: where the files are and how they are read.
        split: train, val or test.
        progress: where to report how many sources are read.
        contents: takes the sha256 of each image or mask file that is read; b"" if it cannot be read.
        cluster: reads a large split, if there is one. All of its machines see the dataset's folder at the same path.

    Raises:
        InputError: before the first record, if the folder is missing or not in the reader's layout.
    """
    contents = {} if contents is None else contents
    return _records(dataset, split, dataset.reader.sources(dataset.root, split), progress, contents, cluster)


def _records(
    dataset: Dataset,
    split: str,
    sources: Sequence[Any],
    progress: Progress,
    contents: dict[Path, bytes],
    cluster: Cluster | None,
) -> Iterator[Record]:
    progress.start(f"reading {split}", len(sources))
    stored: dict[bytes, str] = {}
    is_large = len(sources) >= ENOUGH_FOR_PROCESSES
    pieces = [sources[start : start + PIECE] for start in range(0, len(sources), PIECE)]
    done = 0
    with large_pool(_workers(), cluster) if is_large else _threads() as pool:
        for piece in pool.in_order(partial(_read, dataset), pieces):
            contents.update(piece.contents)
            for records in piece.records:
                yield from _once(records, stored)
                done += 1
                progress.advance(done)


@dataclass(frozen=True)
class _Piece:
    """What was read of some sources: their records, and the sha256 of each file."""

    records: list[list[Record]]
    contents: dict[Path, bytes]


def _read(dataset: Dataset, sources: Sequence[Any]) -> _Piece:
    """The records of some sources, and the hashes of their files."""
    contents: dict[Path, bytes] = {}
    READ_FILES.set(contents)
    return _Piece([dataset.reader.read(dataset.root, source) for source in sources], contents)


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


@contextmanager
def _threads() -> Iterator[TaskPool]:
    with ThreadPoolExecutor(_workers()) as executor:
        yield TaskPool(executor, _workers())


def _workers() -> int:
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
