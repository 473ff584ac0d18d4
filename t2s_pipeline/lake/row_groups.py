"""Rows before they are written to a Parquet file: cast to the columns of the table and collected into row groups."""

from collections.abc import Iterator

import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.table import Table

GROUP_BYTES = 128 * 1024 * 1024
"""The most bytes in a row group of several rows, so that 64 very large images need not fit in memory."""


class RowGroups:
    """Takes batches and gives row groups of the table's schema; at most one row group waits in memory."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._waiting: list[pa.Table] = []
        self._rows = self._size = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.Table]:
        """The row groups that this batch completes."""
        # A large batch is sliced. A slice shares the memory of the batch, and its nbytes counts its own part only.
        for start in range(0, batch.num_rows, self._table.rows_per_group):
            rows = conform(self._table, pa.Table.from_batches([batch.slice(start, self._table.rows_per_group)]))
            full = self._rows + len(rows) > self._table.rows_per_group or self._size + rows.nbytes > GROUP_BYTES
            if full:
                yield from self.rest()
            self._waiting.append(rows)
            self._rows, self._size = self._rows + len(rows), self._size + rows.nbytes

    def rest(self) -> Iterator[pa.Table]:
        """The rows that still wait, as the last row group; nothing if there are none."""
        if self._waiting:
            group = pa.concat_tables(self._waiting)
            self._waiting, self._rows, self._size = [], 0, 0
            yield group


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """The rows with exactly the columns of the table, in its order and of its types.

    Raises:
        InputError: naming the column that is missing, unknown or does not fit.
    """
    names = set(rows.column_names)
    missing = [column.name for column in table.columns if column.name not in names]
    unknown = sorted(names - {column.name for column in table.columns})
    if missing or unknown:
        raise InputError(f"Rows for table {table.name}: missing columns {missing}, unknown ones {unknown}.")
    columns = []
    for column in table.columns:
        try:
            columns.append(rows.column(column.name).cast(column.type))
        except pa.ArrowException as error:
            raise InputError(
                f"Rows for table {table.name}: column {column.name} does not fit {column.type}: {error}"
            ) from error
    return pa.Table.from_arrays(columns, schema=table.schema)
