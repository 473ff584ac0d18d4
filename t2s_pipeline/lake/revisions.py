"""How a file of an earlier schema version becomes a file of the next one.

If you rename a column or change what its values mean, raise the ``version`` of the table in ``schema.py`` and describe
here how a file of the version before becomes a file of the new one. A new column needs neither: it is null in the rows
of older files.

Version 1 of every table is that of release 0.1, whose files do not name a version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from t2s_pipeline.lake.table import Table


@dataclass(frozen=True)
class Revision:
    """What changed in a table from the version before to ``version``."""

    table: str
    version: int
    partition_columns: Mapping[str, str] = field(default_factory=dict)
    """Partition columns that have another name now: former name → name."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns of the files that have another name now: former name → name."""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Column, by its new name → former value → value."""


REVISIONS = (
    Revision("selections", 2, values={"rule": {"draw": "by_hash"}}),
    Revision("checkpoints", 2, columns={"checkpoint": "system"}),
    Revision("completions", 2, partition_columns={"checkpoint": "system"}),
    Revision("predictions", 2, partition_columns={"checkpoint": "system"}),
    Revision("agreement", 2, columns={"draws": "completions"}),
    Revision("published_metrics", 2, columns={"prompt_schema": "prompt_combination"}),
)


def revisions_since(table: Table, version: int) -> list[Revision]:
    """What changed in the table since that version, in order."""
    later = [revision for revision in REVISIONS if revision.table == table.name and revision.version > version]
    return sorted(later, key=lambda revision: revision.version)


def former_layouts(table: Table) -> list[tuple[str, ...]]:
    """The partition columns of earlier versions, where they differ from today's."""
    layouts: list[tuple[str, ...]] = []
    columns = table.partition_by
    for revision in reversed(revisions_since(table, 1)):
        former = {name: old for old, name in revision.partition_columns.items()}
        columns = tuple(former.get(column, column) for column in columns)
        if columns != table.partition_by and columns not in layouts:
            layouts.append(columns)
    return layouts


def revised_partition(table: Table, partition: Mapping[str, str], version: int) -> dict[str, str]:
    """The partition as it is called today."""
    revised = dict(partition)
    for revision in revisions_since(table, version):
        revised = {revision.partition_columns.get(column, column): value for column, value in revised.items()}
    return revised


def revised_rows(table: Table, batch: pa.RecordBatch, version: int) -> pa.RecordBatch:
    """The rows of a file of that version, with today's columns and values. A column that is new today is null."""
    for revision in revisions_since(table, version):
        batch = batch.rename_columns([revision.columns.get(name, name) for name in batch.schema.names])
        for name, names in revision.values.items():
            values = pa.array([names.get(value, value) for value in batch.column(name).to_pylist()], pa.string())
            batch = batch.set_column(batch.schema.get_field_index(name), name, values)
    return table.with_new_columns(batch)
