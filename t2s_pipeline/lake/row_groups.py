"""Rows on their way into a Parquet file: given exactly the table's columns, and gathered into row groups."""

from collections.abc import Iterator

import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.table import Table

# A row group is also cut at this size, so that sixty-four very large images do not have to fit in memory.
GROUP_BYTES = 128 * 1024 * 1024


class RowGroups:
    """Batches in, row groups out: cast to the table's schema and regrouped, no more than one of them waiting."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._waiting: list[pa.Table] = []
        self._rows = self._size = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.Table]:
        """The row groups that this batch completes."""
        # A large batch is sliced; a slice shares its memory and knows its own share of the bytes.
        for start in range(0, batch.num_rows, self._table.rows_per_group):
            part = conform(self._table, pa.Table.from_batches([batch.slice(start, self._table.rows_per_group)]))
            full = self._rows + len(part) > self._table.rows_per_group or self._size + part.nbytes > GROUP_BYTES
            if full:
                yield from self.rest()
            self._waiting.append(part)
            self._rows, self._size = self._rows + len(part), self._size + part.nbytes

    def rest(self) -> Iterator[pa.Table]:
        """What still waits, as the last row group."""
        if self._waiting:
            group = pa.concat_tables(self._waiting)
            self._waiting, self._rows, self._size = [], 0, 0
            yield group


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """The rows with exactly the table's columns, in its order and of its types.

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
