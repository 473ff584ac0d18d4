"""A partition that is made in numbered pieces, so that a stopped run continues where it stopped."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.places import storage_of
from t2s_pipeline.lake.store import fingerprint_of, row_count, write_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.versions import VERSION_KEY

_ROWS_AT_ONCE = 65_536


class StagedPartition:
    """The pieces of a partition that is not finished.

    Each ``put`` writes one small file or object, complete or not at all. ``commit`` merges the files
    into the partition, in the order of their numbers. Pieces of another fingerprint, of other bounds, or of another
    schema version, can no longer be used; opening removes them. In a folder, only one process at a time may write a
    partition.

    Args:
        lake: where the tables are.
        table: of the partition.
        partition: which one.
        fingerprint: what the partition is made from.
        bounds: what decides which rows belong to which number.
    """

    def __init__(self, lake: LakePlace, table: Table, partition: Partition, fingerprint: str, bounds: str = "") -> None:
        self._lake, self._table, self._partition, self._fingerprint = lake, table, partition, fingerprint
        origin = hashlib.sha256(f"{fingerprint}\n{table.version}\n{bounds}".encode()).hexdigest()[:12]
        self._pieces = storage_of(lake).pieces(table, partition, origin)

    def numbers(self) -> set[int]:
        """The numbers of the pieces that are there: the work that need not be done again."""
        return self._pieces.numbers()

    def put(self, number: int, rows: pa.Table) -> None:
        """Stage the rows of a piece. When this returns, they survive a crash.

        Raises:
            InputError: if a column is missing, unknown, or does not fit its type.
            T2SError: if the disk is full.
        """
        schema = self._table.schema.with_metadata({VERSION_KEY: str(self._table.version)})
        with self._pieces.writing(number) as temporary:
            writer = TableWriter(self._table, temporary, schema)
            try:
                for batch in rows.to_batches():
                    writer.add(batch)
                writer.finish()
            finally:
                writer.abandon()

    def commit(self) -> int:
        """Write all staged rows as the partition, remove the pieces, and return the number of rows.

        Raises:
            T2SError: if the disk is full, or pieces are gone that another machine has not committed either.
        """
        batches = (batch for number in sorted(self.numbers()) for batch in self._batches(number))
        try:
            rows = write_partition(self._lake, self._table, self._partition, batches, self._fingerprint)
        except FileNotFoundError:
            # On an object store, another machine may have done the same work, committed it and removed the pieces.
            if fingerprint_of(self._lake, self._table, self._partition) != self._fingerprint:
                raise T2SError(
                    f"Staged pieces of table {self._table.name} were removed by another process: "
                    "run the same command again."
                ) from None
            return row_count(self._lake, self._table, self._partition)
        self._pieces.remove()
        return rows

    def _batches(self, number: int) -> Iterator[pa.RecordBatch]:
        with self._pieces.open(number) as file:
            yield from file.batches(_ROWS_AT_ONCE)
