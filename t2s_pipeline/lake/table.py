"""What a table of the lake is: named columns, partition columns, and a schema version."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)

QUESTION_KEY: dict[str, Any] = {
    "sample_id": (pa.string(), "the sample"),
    "question_index": (pa.int32(), "which of the sample's questions"),
}
"""The columns that name a question, for ``Tables.add``."""


def interval_columns(*metrics: str) -> dict[str, Any]:
    """The columns ``<metric>_low`` and ``<metric>_high`` of each metric, for ``Tables.add``."""
    ends = (("low", "lower end of the interval"), ("high", "upper end of the interval"))
    return {f"{metric}_{end}": (pa.float64(), meaning) for metric in metrics for end, meaning in ends}


@dataclass(frozen=True)
class Column:
    """A column of a table, and what it means."""

    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table of the lake. Partition columns are strings kept in the folder names, not in the files."""

    name: str
    meaning: str
    partition_by: tuple[str, ...]
    columns: tuple[Column, ...]
    rows_per_group: int = 65_536
    """The most rows in a row group."""
    version: int = 1
    """The schema version, which is written into the footer of each file. A file that names none is of version 1."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of a file: partition columns are not in it."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    def with_new_columns(self, rows: Rows, names: Collection[str] | None = None) -> Rows:
        """The rows of a file, with the columns that were added to the table since: they are null.

        Args:
            rows: a file's rows.
            names: the columns to have; None: all.
        """
        for column in self.columns:
            if column.name not in rows.schema.names and (names is None or column.name in names):
                rows = rows.append_column(column.name, pa.nulls(rows.num_rows, column.type))
        return rows

    @property
    def meanings(self) -> dict[str, str]:
        """What each column of a file means."""
        return {column.name: column.meaning for column in self.columns}


class Tables(dict[str, Table]):
    """Tables by name, in the order in which they were added."""

    def add(
        self,
        name: str,
        meaning: str,
        partition_by: str,
        *,
        rows_per_group: int = 65_536,
        version: int = 1,
        **columns: tuple[pa.DataType, str],
    ) -> Table:
        """Declare a table.

        Args:
            name: the name of its folder and of its view in SQL.
            meaning: what one row is.
            partition_by: the partition columns, outermost first, with blanks between them.
            rows_per_group: the most rows in a row group.
            version: the schema version.
            **columns: the type and the meaning of each column of a file.
        """
        fields = tuple(Column(key, kind, words) for key, (kind, words) in columns.items())
        self[name] = Table(name, meaning, tuple(partition_by.split()), fields, rows_per_group, version)
        return self[name]
