"""One flipped bit in a file of the lake: whoever reads gets the rows that were written, or a sentence with the file."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.schema import PUBLISHED_METRICS, TABLES
from t2s_pipeline.lake.store import read_partition, scan
from t2s_pipeline.lake.table import Table
from tests.faults.lakes import partition_of, rows_of

Read = Callable[[Settings, Table], pa.Table]
"""Reads a table, with all columns or with some."""


def _python(settings: Settings, table: Table) -> pa.Table:
    return read_partition(settings.lake, table, partition_of(table))


def _one_column(settings: Settings, table: Table) -> pa.Table:
    return read_partition(settings.lake, table, partition_of(table), [table.columns[-1].name])


def _batches(settings: Settings, table: Table) -> pa.Table:
    return pa.Table.from_batches(scan(settings.lake, table, partition_of(table)), table.schema)


def _sql(settings: Settings, table: Table) -> pa.Table:
    from t2s_pipeline.lake.views import query

    return query(settings, f"FROM {table.name}")


PYTHON: dict[str, Read] = {"read": _python, "one column": _one_column, "scan": _batches}
SQL: dict[str, Read] = {"SQL": _sql}


def flips(settings: Settings, count: int, reads: dict[str, Read], seed: int) -> Counter[str]:
    """Flip one bit, read in each way, and flip it back, ``count`` times over all tables.

    Args:
        settings: their lake has a partition of each table, as ``write_every_table`` writes it.
        count: how often.
        reads: name → a way to read.
        seed: decides file, byte and bit.

    Returns:
        How often rows were ``right``, the file was ``named``, and rows were ``wrong``: per read.
    """
    choose = random.Random(seed)
    tables = [table for table in TABLES.values() if table is not PUBLISHED_METRICS]
    expected = {(way, table.name): read(settings, table) for table in tables for way, read in reads.items()}
    assert all(expected["read", table.name].equals(rows_of(table)) for table in tables if "read" in reads)
    outcomes: Counter[str] = Counter(right=0, named=0, wrong=0)
    for number in range(count):
        table = tables[number % len(tables)]
        path = partition_file(settings.lake, table, partition_of(table))
        place = choose.randrange(path.stat().st_size)
        bit = 1 << choose.randrange(8)
        _flip(path, place, bit)
        for way, read in reads.items():
            try:
                rows = read(settings, table)
            except DamagedFileError as error:
                outcomes["named" if error.path == path else "wrong"] += 1
            else:
                outcomes["right" if rows.equals(expected[way, table.name]) else "wrong"] += 1
        _flip(path, place, bit)
    return outcomes


def _flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ bit]))
