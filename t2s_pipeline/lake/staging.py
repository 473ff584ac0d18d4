"""A partition that is made in pieces, so that a stopped run continues where it stopped."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.store import Partition, partition_file, write_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.versions import VERSION_KEY

_ROWS_AT_ONCE = 65_536
_COMMITTED = "committed-"
"""The beginning of the name of a folder whose pieces are in the partition already."""


class StagedPartition:
    """The pieces of a partition that is not finished.

    Each ``append`` writes one small file below ``<lake>/_staging``, complete or not at all. ``commit`` merges the files
    into the partition. Pieces of another fingerprint, or of another schema version, can no longer be used; opening
    removes them. Only one process at a time may write a partition.
    """

    def __init__(self, lake: Path, table: Table, partition: Partition, fingerprint: str) -> None:
        self._lake, self._table, self._partition, self._fingerprint = lake, table, partition, fingerprint
        folder = partition_file(lake, table, partition).parent.relative_to(lake).as_posix()
        name = hashlib.sha256(folder.encode()).hexdigest()[:16]
        origin = hashlib.sha256(f"{fingerprint}\n{table.version}".encode()).hexdigest()[:12]
        self.folder = lake / STAGING / table.name / f"{name}-{origin}"
        self._remove_committed()
        for other in self.folder.parent.glob(f"{name}-*"):
            if other != self.folder:
                shutil.rmtree(other)
        for temporary in self.folder.glob(".*.tmp"):
            temporary.unlink(missing_ok=True)
        self._next = 1 + max((int(piece.stem) for piece in self._pieces()), default=-1)

    def _pieces(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def keys(self, columns: Iterable[str]) -> set[tuple[Any, ...]]:
        """The values of these columns in every row that is staged: the work that need not be done again."""
        names = list(columns)
        keys: set[tuple[Any, ...]] = set()
        for piece in self._pieces():
            with CheckedFile(piece) as file:
                rows = file.read(names)
            keys.update(zip(*(rows.column(name).to_pylist() for name in names), strict=True))
        return keys

    def append(self, rows: pa.Table) -> None:
        """Stage some rows. When this returns, they survive a crash.

        Raises:
            InputError: if a column is missing, unknown, or does not fit its type.
            T2SError: if the disk is full.
        """
        schema = self._table.schema.with_metadata({VERSION_KEY: str(self._table.version)})
        with atomic_file(self.folder / f"{self._next:08d}.parquet") as temporary:
            writer = TableWriter(self._table, temporary, schema)
            try:
                for batch in rows.to_batches():
                    writer.add(batch)
                writer.finish()
            finally:
                writer.abandon()
        self._next += 1

    def commit(self) -> int:
        """Write all staged rows as the partition, remove the pieces, and return the number of rows."""
        batches = (batch for piece in self._pieces() for batch in _batches(piece))
        rows = write_partition(self._lake, self._table, self._partition, batches, self._fingerprint)
        # Renamed first: a process that is killed leaves either every piece or none.
        with suppress(FileNotFoundError):
            self.folder.rename(self.folder.with_name(f"{_COMMITTED}{self.folder.name}"))
        self._remove_committed()
        return rows

    def _remove_committed(self) -> None:
        for folder in self.folder.parent.glob(f"{_COMMITTED}*"):
            shutil.rmtree(folder, ignore_errors=True)


def _batches(piece: Path) -> Iterator[pa.RecordBatch]:
    with CheckedFile(piece) as file:
        yield from file.batches(_ROWS_AT_ONCE)
