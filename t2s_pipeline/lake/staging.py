"""A partition that is made in numbered pieces, so that a stopped run continues where it stopped."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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

    Each ``put`` writes one small file below ``<lake>/_staging``, complete or not at all. ``commit`` merges the files
    into the partition, in the order of their numbers. Pieces of another fingerprint, of other bounds, or of another
    schema version, can no longer be used; opening removes them. Only one process at a time may write a partition.

    Args:
        lake: the folder of the lake.
        table: of the partition.
        partition: which one.
        fingerprint: what the partition is made from.
        bounds: what decides which rows belong to which number.
    """

    def __init__(self, lake: Path, table: Table, partition: Partition, fingerprint: str, bounds: str = "") -> None:
        self._lake, self._table, self._partition, self._fingerprint = lake, table, partition, fingerprint
        folder = partition_file(lake, table, partition).parent.relative_to(lake).as_posix()
        name = hashlib.sha256(folder.encode()).hexdigest()[:16]
        origin = hashlib.sha256(f"{fingerprint}\n{table.version}\n{bounds}".encode()).hexdigest()[:12]
        self.folder = lake / STAGING / table.name / f"{name}-{origin}"
        self._remove_committed()
        for other in self.folder.parent.glob(f"{name}-*"):
            if other != self.folder:
                shutil.rmtree(other)
        for temporary in self.folder.glob(".*.tmp"):
            temporary.unlink(missing_ok=True)

    def _pieces(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def numbers(self) -> set[int]:
        """The numbers of the pieces that are there: the work that need not be done again."""
        return {int(piece.stem) for piece in self._pieces()}

    def put(self, number: int, rows: pa.Table) -> None:
        """Stage the rows of a piece. When this returns, they survive a crash.

        Raises:
            InputError: if a column is missing, unknown, or does not fit its type.
            T2SError: if the disk is full.
        """
        schema = self._table.schema.with_metadata({VERSION_KEY: str(self._table.version)})
        with atomic_file(self.folder / f"{number:08d}.parquet") as temporary:
            writer = TableWriter(self._table, temporary, schema)
            try:
                for batch in rows.to_batches():
                    writer.add(batch)
                writer.finish()
            finally:
                writer.abandon()

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
