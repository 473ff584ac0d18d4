"""A lake with rows in every table, for tests that damage it."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import IMAGES, TABLES
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.lake.table import Table

ROWS = 40


def partition_of(table: Table) -> Partition:
    """The partition that the lake has of the table."""
    return {column: f"a {column}" for column in table.partition_by}


def rows_of(table: Table, mark: int = 0, count: int = ROWS) -> pa.Table:
    """Rows that differ from each other, and from those of another mark."""
    rows = pa.table(
        [pa.array([_value(column.type, mark + row) for row in range(count)], column.type) for column in table.columns],
        schema=table.schema,
    )
    if table is IMAGES:
        hashes = pa.array([hashlib.sha256(data).hexdigest() for data in rows["bytes"].to_pylist()])
        rows = rows.set_column(table.schema.get_field_index("sha256"), "sha256", hashes)
    return rows


def write_every_table(lake: Path, mark: int = 0) -> None:
    """Write a partition of each table."""
    for table in TABLES.values():
        write_partition(lake, table, partition_of(table), rows_of(table, mark), f"mark {mark}")


def _value(kind: pa.DataType, seed: int) -> Any:
    if pa.types.is_map(kind):
        return [(_value(kind.key_type, seed), _value(kind.item_type, seed))]
    if pa.types.is_struct(kind):
        return {field.name: _value(field.type, seed + place) for place, field in enumerate(kind)}
    if pa.types.is_list(kind):
        return [_value(kind.value_type, seed + place) for place in range(seed % 3)]
    if pa.types.is_boolean(kind):
        return seed % 2 == 0
    if pa.types.is_string(kind):
        return f"text {seed}"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return b"bytes %d" % seed * 20
    if pa.types.is_timestamp(kind):
        return seed * 1_000_003
    return seed if pa.types.is_integer(kind) else seed / 7
