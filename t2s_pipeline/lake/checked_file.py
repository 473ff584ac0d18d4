"""A Parquet file of the lake, open for reading. What is read is compared with its digest first.

A file that an earlier release wrote has no digests and is read as it is. ``t2s lake upgrade`` adds them.
"""

import errno
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.lake.digests import (
    DIGESTS_KEY,
    HEAD_BYTES,
    MAGIC,
    MARK,
    chunk_digest,
    chunks,
    footer_bytes,
    seal_digest,
)
from t2s_pipeline.lake.partial_copy import PartialCopy


class CheckedFile:
    """The file of a partition, or a staged piece of one. Its footer is checked when it is opened.

    Args:
        source: the file, or a copy of the parts of an object that were read. The others are read when needed.

    Raises:
        FileNotFoundError: if there is no file.
        DamagedFileError: naming the file, if it is damaged.
        T2SError: if the object store fails.
    """

    def __init__(self, source: Path | PartialCopy) -> None:
        self._copy = source if isinstance(source, PartialCopy) else None
        self.path = source.name if isinstance(source, PartialCopy) else source
        file = source.path if isinstance(source, PartialCopy) else source
        if self._copy is not None:
            self._copy.ensure_footer()
        _require_regular(file)
        with damage_named(self.path):
            self._source = pa.OSFile(str(file), "rb")
            try:
                self.is_sealed = self._has_valid_seal()
                if not self.is_sealed and self._copy is not None:
                    raise _Damage("it has no digests")
                self._parquet = pq.ParquetFile(self._source)
                if not self.is_sealed and DIGESTS_KEY in (self.metadata.metadata or {}):
                    raise _Damage("its first bytes are not those of a file with digests")
            except BaseException:
                self._source.close()
                raise
        self._checked: set[tuple[int, str]] = set()

    def __enter__(self) -> "CheckedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._source.close()
        if self._copy is not None:
            self._copy.close()

    @property
    def metadata(self) -> pq.FileMetaData:
        """The footer."""
        return self._parquet.metadata

    @property
    def entries(self) -> dict[bytes, bytes]:
        """The entries of the footer, such as the fingerprint."""
        return self.metadata.metadata or {}

    @property
    def names(self) -> list[str]:
        """The columns of the file."""
        return list(self._parquet.schema_arrow.names)

    def read(self, columns: Collection[str] | None = None) -> pa.Table:
        """All rows, with these columns; None: with all.

        Raises:
            DamagedFileError: if one of these columns is damaged.
        """
        self.check(columns)
        with damage_named(self.path):
            return self._parquet.read(columns=None if columns is None else list(columns))

    def group(self, number: int, columns: Collection[str]) -> pa.Table:
        """The rows of a row group, with these columns.

        Raises:
            DamagedFileError: if one of these columns is damaged there.
        """
        self.check(columns, [number])
        with damage_named(self.path):
            return self._parquet.read_row_group(number, columns=list(columns))

    def batches(self, rows: int, columns: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in batches of at most ``rows``. The row groups of a batch are checked before it is read.

        Raises:
            DamagedFileError: at the batch of the first row group that is damaged.
        """
        with damage_named(self.path):
            batches = self._parquet.iter_batches(rows, columns=None if columns is None else list(columns))
            sizes = [self.metadata.row_group(group).num_rows for group in range(self.metadata.num_row_groups)]
            group = done = available = 0
            while True:
                while group < len(sizes) and available < done + rows:
                    self.check(columns, [group])
                    available += sizes[group]
                    group += 1
                batch = next(batches, None)
                if batch is None:
                    return
                done += batch.num_rows
                yield batch

    def check(self, columns: Collection[str] | None = None, groups: Iterable[int] | None = None) -> None:
        """Compare columns with their digests; a file without digests passes.

        Args:
            columns: the columns, or parts of them as in ``mask.width``; None: all.
            groups: the row groups; None: all.

        Raises:
            DamagedFileError: naming the column that is damaged.
        """
        if not self.is_sealed:
            return
        names = None if columns is None else {name.partition(".")[0] for name in columns}
        with damage_named(self.path):
            for group in range(self.metadata.num_row_groups) if groups is None else groups:
                parts = [chunk for chunk in chunks(self.metadata, group) if names is None or chunk.column in names]
                if self._copy is not None:
                    self._copy.ensure((chunk.start, chunk.length) for chunk in parts)
                for chunk in parts:
                    if (group, chunk.column) not in self._checked and chunk_digest(
                        self._read_at, chunk
                    ) != chunk.digest:
                        raise _Damage(f"column {chunk.column} in row group {group} differs from its digest")
                self._checked.update((group, chunk.column) for chunk in parts)

    def _has_valid_seal(self) -> bool:
        """Whether the file has a seal, which fits its footer."""
        size = self._source.size()
        head = self._read_at(min(HEAD_BYTES, size), 0)
        if head[: len(MAGIC) + len(MARK)] != MAGIC + MARK:
            return False
        if head[len(MAGIC) + len(MARK) :] != seal_digest(footer_bytes(self._read_at, size)):
            raise _Damage("its footer differs from its digest, or it was cut off")
        return True

    def _read_at(self, count: int, start: int) -> bytes:
        data: bytes = self._source.read_at(count, start)
        return data


class _Damage(Exception):
    """What is wrong with a file, on its way to ``damage_named``."""


def _require_regular(path: Path) -> None:
    """Refuse a folder, a pipe or a device in place of a file. To open a pipe would wait for ever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "no regular file"
        raise DamagedFileError(path, f"it is {kind}")


@contextmanager
def damage_named(path: Path | str) -> Iterator[None]:
    """Turn the errors of pyarrow for a damaged file into one sentence that names the file.

    Raises:
        DamagedFileError: that sentence.
    """
    try:
        yield
    except _Damage as error:
        raise DamagedFileError(path, str(error)) from None
    except (pa.ArrowException, ValueError, OSError) as error:
        # An OSError with a number comes from the system (no such file, no permission), one without from a codec.
        if isinstance(error, OSError) and error.errno not in (None, errno.EIO):
            raise
        raise DamagedFileError(path, " ".join(str(error).split())) from error
