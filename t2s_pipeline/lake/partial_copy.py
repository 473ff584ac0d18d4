"""The parts of an object that were read, on this machine.

Objects are far away, and readers need some columns only. A file on this machine has the length of the object and is
empty at first. What is about to be read is written to its place there, once. So pyarrow and DuckDB read a file,
wherever the lake lies. The file system does not store the empty parts.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.lake.digests import HEAD_BYTES

Range = tuple[int, int]
"""The first byte of a part of an object, and its length."""

WHOLE_BYTES = 256 * 1024
"""An object of at most this size is read at once."""

TAIL_BYTES = 64 * 1024
"""What is read of the end of a larger object, to find its footer."""

PART_BYTES = 8 * 1024 * 1024
"""The parts in which a whole object is read."""

BATCH_BYTES = 64 * 1024 * 1024
"""The most bytes that are in memory at once, unless a single part is larger."""


class PartialCopy:
    """A file on this machine with the parts of an object that were read.

    Args:
        name: the address of the object, for messages.
        size: of the object, in bytes.
        read: gives parts of the object.
        path: where the file is made; None for a file without a name, which ends with this object.
        scratch: the folder of a file without a name.
    """

    def __init__(
        self,
        name: str,
        size: int,
        read: Callable[[Sequence[Range]], Sequence[memoryview]],
        path: Path | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.name, self.size = name, size
        self._read = read
        # If the process is killed, a file without a name is gone.
        self._unnamed = tempfile.TemporaryFile(dir=scratch) if path is None else None
        self.path = Path(f"/dev/fd/{self._unnamed.fileno()}") if self._unnamed is not None else Path(path or "")
        with self.path.open("wb") as file:
            file.truncate(size)
        self._present: set[Range] = set()
        self._is_whole = False

    def close(self) -> None:
        """Close the file; a file without a name is gone then."""
        if self._unnamed is not None:
            self._unnamed.close()

    def ensure_footer(self) -> None:
        """Read the head and the footer of a Parquet file; a small file is read completely."""
        if self.size <= WHOLE_BYTES:
            self.ensure([(0, self.size)])
            self._is_whole = True
            return
        self.ensure([(0, HEAD_BYTES), (self.size - TAIL_BYTES, TAIL_BYTES)])
        with self.path.open("rb") as file:
            length = int.from_bytes(os.pread(file.fileno(), 4, self.size - 8), "little") + 8
        if TAIL_BYTES < length <= self.size:
            self.ensure([(self.size - length, length - TAIL_BYTES)])

    def ensure_all(self) -> None:
        """Read everything."""
        self.ensure((start, min(PART_BYTES, self.size - start)) for start in range(0, self.size, PART_BYTES))
        self._is_whole = True

    def ensure(self, parts: Iterable[Range]) -> None:
        """Read those of the parts that are not here yet.

        Raises:
            T2SError: if the object store does not give them.
        """
        if self._is_whole:
            return
        batch: list[Range] = []
        size = 0
        for part in dict.fromkeys(parts):
            if part in self._present or part[1] == 0:
                continue
            if batch and size + part[1] > BATCH_BYTES:
                self._fetch(batch)
                batch, size = [], 0
            batch.append(part)
            size += part[1]
        if batch:
            self._fetch(batch)

    def _fetch(self, parts: Sequence[Range]) -> None:
        with disk_room(self.path), self.path.open("r+b") as file:
            for (start, _), data in zip(parts, self._read(parts), strict=True):
                while data:
                    written = os.pwrite(file.fileno(), data, start)
                    data, start = data[written:], start + written
        self._present.update(parts)
