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
from types import MappingProxyType
from typing import Any

from t2s_pipeline.core.distribution.pools import Cluster, TaskPool, large_pool
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.one_core import use_one_core
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.records import ImageRecord, Record, SampleRecord
from t2s_pipeline.vision.image_files import READ_FILES, ReadFile, file_state

ENOUGH_FOR_PROCESSES = 400
"""From so many sources on, processes read faster than threads, although they start slowly."""

MOST_WORKERS = 8
"""The most processes or threads that read: one process writes what they read."""

PIECE = 8
"""Sources that a process reads at a time. Each holds an image, so memory stays flat."""

HASHED_AT_ONCE = 64
"""Files that a thread hashes at a time."""

BLOCK = 1024 * 1024
"""The most bytes of a file that are hashed at once."""

_SILENT = NoProgress()
_NOTHING_READ: Mapping[Path, ReadFile] = MappingProxyType({})
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


def split_files(
    dataset: Dataset, split: str, progress: Progress = _SILENT, read: Mapping[Path, ReadFile] = _NOTHING_READ
) -> SplitFiles:
    """Hash every file that the split is read from.

    Args:
        dataset: where the files are.
        split: train, val or test.
        progress: where to report how many files are hashed.
        read: files that were read already. Such a file is not hashed again if its state is still the same.

    Raises:
        InputError: if the folder is missing or not in the reader's layout, or a file disappears meanwhile.
    """
    files = dataset.reader.files(dataset.root, split)
    hashes: dict[str, bytes] = {}
    progress.start(f"checking {split}", len(files))

    def hashed(piece: Sequence[str]) -> dict[str, bytes]:
        return {name: _content_hash(path, read.get(path)) for name in piece for path in (dataset.root / name,)}

    with _threads() as pool:
        names = [files[start : start + HASHED_AT_ONCE] for start in range(0, len(files), HASHED_AT_ONCE)]
        for some in pool.in_order(hashed, names):
            hashes.update(some)
            progress.advance(len(hashes))
    return SplitFiles(hashes)


def _content_hash(path: Path, read: ReadFile | None) -> bytes:
    """The sha256 of a file; that of ``read`` if the file is in the state in which it was read."""
    try:
        if read is not None and read.sha256 and file_state(os.stat(path)) == read.state:
            return read.sha256
        digest = hashlib.sha256()
        # Without a buffer: most files are smaller than one.
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while block := file.read(min(size + 1, BLOCK)):
                digest.update(block)
        return digest.digest()
    except FileNotFoundError as error:
        raise InputError(f"{path} disappeared while its folder was read: {_TRY_AGAIN}") from error
    except OSError as error:
        # Ingest will reject the file for the same reason.
        return f"unreadable: {error.errno}".encode()


def require_unchanged(dataset: Dataset, files: SplitFiles, read: Mapping[Path, ReadFile]) -> None:
    """Compare what was read with the files.

    Args:
        dataset: where the files are.
        files: the files as their fingerprint counts them.
        read: the files that were read, or could not be read.

    Raises:
        InputError: if a file was read with another content, or could not be read.
    """
    expected = {dataset.root / name: content for name, content in files.hashes.items()}
    changed = [
        path
        for path, file in read.items()
        if path in expected and file.sha256 != (b"" if expected[path].startswith(b"unreadable") else expected[path])
    ]
    if changed:
        raise InputError(
            f"{changed[0]} changed or disappeared while it was read ({len(changed):,} such files): {_TRY_AGAIN}"
        )


def read_records(
    dataset: Dataset,
    split: str,
    progress: Progress = _SILENT,
    read: dict[Path, ReadFile] | None = None,
    cluster: Cluster | None = None,
) -> Iterator[Record]:
    """Every record of the split, in the order of its sources; files of the same bytes become one image.

    Args:
        dataset: where the files are and how they are read.
        split: train, val or test.
        progress: where to report how many sources are read.
        read: takes each file that is read, or cannot be read.
        cluster: reads a large split, if there is one. All of its machines see the dataset's folder at the same path.

    Raises:
        InputError: before the first record, if the folder is missing or not in the reader's layout.
    """
    read = {} if read is None else read
    return _records(dataset, split, dataset.reader.sources(dataset.root, split), progress, read, cluster)


def _records(
    dataset: Dataset,
    split: str,
    sources: Sequence[Any],
    progress: Progress,
    read: dict[Path, ReadFile],
    cluster: Cluster | None,
) -> Iterator[Record]:
    progress.start(f"reading {split}", len(sources))
    stored: dict[bytes, str] = {}
    is_large = len(sources) >= ENOUGH_FOR_PROCESSES
    pieces = [sources[start : start + PIECE] for start in range(0, len(sources), PIECE)]
    done = 0
    reading = partial(_read_alone if is_large else _read, dataset)
    with large_pool(_workers(), cluster) if is_large else _threads() as pool:
        for piece in pool.in_order(reading, pieces):
            read.update(piece.read)
            for records in piece.records:
                yield from _once(records, stored)
                done += 1
                progress.advance(done)


@dataclass(frozen=True)
class _Piece:
    """What was read of some sources: their records, and each file."""

    records: list[list[Record]]
    read: dict[Path, ReadFile]


def _read(dataset: Dataset, sources: Sequence[Any]) -> _Piece:
    """The records of some sources, and their files."""
    read: dict[Path, ReadFile] = {}
    READ_FILES.set(read)
    return _Piece([dataset.reader.read(dataset.root, source) for source in sources], read)


def _read_alone(dataset: Dataset, sources: Sequence[Any]) -> _Piece:
    """As ``_read``, in a process that does nothing else."""
    use_one_core()
    return _read(dataset, sources)


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
