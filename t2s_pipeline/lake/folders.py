"""The folders of a table: ``<column>=<value>/…/data.parquet``, one level per partition column."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.table import Table

FILE_NAME = "data.parquet"

Partition = dict[str, str]
"""Partition column → value, such as {"dataset": "synthetic", "split": "val"}; {} for a table without partitions."""


@dataclass(frozen=True)
class Folders:
    """What lies below the folder of a table."""

    partitions: dict[Path, dict[str, str]]
    """The file of each partition, and the partition: column → value."""
    others: list[Path]
    """Folders that are named ``<column>=<value>`` after another column than the one that belongs there."""


def partition_file(lake: Path, table: Table, partition: Partition) -> Path:
    """The path of the partition's file, whether or not it exists. Values are percent-encoded, as DuckDB decodes them.

    Raises:
        InputError: if the partition's columns are not the table's, or a value cannot be a folder name.
    """
    if set(partition) != set(table.partition_by):
        raise InputError(
            f"Table {table.name} is partitioned by ({', '.join(table.partition_by)}), not by ({', '.join(partition)})."
        )
    folder = lake / table.name
    for column in table.partition_by:
        value = quote(str(partition[column]), safe="+@,")
        if not value or len(value) > 200:
            raise InputError(f"{table.name}: {column}={partition[column]!r} is empty or too long.")
        folder /= f"{column}={value}"
    return folder / FILE_NAME


def look_into(root: Path, columns: tuple[str, ...]) -> Folders:
    """The partitions below ``root``, whose partition columns are ``columns``, outermost first.

    A folder that is missing holds nothing. Values are decoded, as DuckDB decodes them.
    """
    partitions: dict[Path, dict[str, str]] = {}
    others: list[Path] = []
    folders: list[tuple[Path, dict[str, str]]] = [(root, {})]
    while folders:
        folder, partition = folders.pop()
        expected = columns[len(partition)] if len(partition) < len(columns) else None
        for name in _names(folder):
            column, equals, value = name.partition("=")
            if name == FILE_NAME and expected is None:
                partitions[folder / name] = partition
            elif equals and column == expected:
                folders.append((folder / name, {**partition, column: unquote(value)}))
            elif equals:
                others.append(folder / name)
    return Folders(partitions, others)


def _names(folder: Path) -> Iterator[str]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name
