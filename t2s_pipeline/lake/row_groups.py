"""Rows on their way into a Parquet file: given exactly the table's columns, and gathered into row groups."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from t2s_pipeline.errors import InputError
from t2s_pipeline.lake.schema import Table

# A row group is also cut at this size, so that sixty-four very large images do not have to fit in memory.
GROUP_BYTES = 128 * 1024 * 1024


def row_groups(table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches, cast to the table's schema and regrouped into row groups."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for batch in batches:
        # A large batch is sliced; a slice shares its memory and knows its own share of the bytes.
        for start in range(0, batch.num_rows, table.rows_per_group):
            part = conform(table, pa.Table.from_batches([batch.slice(start, table.rows_per_group)]))
            if waiting and (rows + len(part) > table.rows_per_group or size + part.nbytes > GROUP_BYTES):
                yield pa.concat_tables(waiting)
                waiting, rows, size = [], 0, 0
            waiting.append(part)
            rows, size = rows + len(part), size + part.nbytes
    if waiting:
        yield pa.concat_tables(waiting)


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
