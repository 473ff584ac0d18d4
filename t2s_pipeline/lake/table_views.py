"""The views of the lake's tables in DuckDB: partition columns first, then the table's columns, null where none is."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import duckdb
import pyarrow as pa

from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.lake.schema import PUBLISHED_METRICS, TABLES
from t2s_pipeline.lake.snapshot import Snapshot
from t2s_pipeline.lake.storage import SnapshotFile
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.versions import require_version, version_of

AT_ONCE = 8
"""The most objects that are checked at the same time."""

_SCANNED = re.compile(r'"Table":\s*"memory\.main\.(\w+)"')
"""A scan of a table in a plan, in JSON. In a text of the user the quotes have a backslash before them."""

_CATALOG = re.compile(r'"name":\s*"(?:DUCKDB|PRAGMA)_\w+')
"""A scan of DuckDB's own lists in a plan, in JSON."""


def create_empty_tables(connection: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> None:
    """Give each of these tables its name and its types, without rows. ``open_table`` puts the view in its place.

    The published numbers are those of this release, whatever an earlier one wrote into the lake.
    """
    for table in tables:
        if table is PUBLISHED_METRICS:
            connection.register(table.name, published_metrics())
            continue
        columns = (
            f"{name_literal(name)} {kind}"
            for name, kind in [
                *((name, "VARCHAR") for name in table.partition_by),
                *((column.name, _duckdb_type(column.type)) for column in table.columns),
            ]
        )
        connection.execute(f"CREATE TABLE {name_literal(table.name)} ({', '.join(columns)})")


def scanned_tables(plan: str) -> set[str]:
    """The tables of the lake that a plan reads and that are not opened yet.

    Args:
        plan: the plan as DuckDB binds it, before it is optimized, in JSON.
    """
    return set(_SCANNED.findall(plan))


def lists_catalog(plan: str) -> bool:
    """Whether the plan of a query reads which tables and views there are, as SHOW TABLES does.

    Args:
        plan: as for ``scanned_tables``.
    """
    return _CATALOG.search(plan) is not None


def open_table(connection: duckdb.DuckDBPyConnection, table: Table, snapshot: Snapshot) -> None:
    """Put the view of a table in the place of the empty one. The footers of its files are checked.

    The values of the partition columns are those that ``list_partitions`` gives. DuckDB could read them from the paths,
    but then a folder above the lake that is named like a partition counts too.

    Raises:
        InputError: naming a partition that is damaged or of another release.
    """
    files = snapshot.files[table.name]
    if table is PUBLISHED_METRICS or not files:
        return
    in_files: set[str] = set()
    for file in files:
        with _checked(file) as checked:
            require_version(table, file.source, version_of(checked.entries))
            in_files.update(checked.names)
    paths = ", ".join(text_literal(str(file.path)) for file in files)
    source = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false, filename = true)"
    columns = [_partition_column(name, [file.partition[name] for file in files]) for name in table.partition_by]
    for column in table.columns:
        name = name_literal(column.name)
        columns.append(name if column.name in in_files else f"CAST(NULL AS {_duckdb_type(column.type)}) AS {name}")
    connection.execute(f"DROP TABLE {name_literal(table.name)}")
    connection.execute(f"CREATE VIEW {name_literal(table.name)} AS SELECT {', '.join(columns)} FROM {source}")


def check_tables(snapshot: Snapshot, names: Collection[str], plan: str | None = None, with_images: bool = True) -> None:
    """Compare the files of the tables with their digests. Of objects, these columns are brought to this machine first.

    Args:
        snapshot: the files.
        names: the tables.
        plan: the plan of a query, as DuckDB runs it. Files inside a table, such as the bytes of the images, are large.
            They are checked only if the plan names their column. None: they are checked. Of objects, no other column
            than those that the plan names is looked at.
        with_images: False if the bytes of the images are not read, though there is no plan.

    Raises:
        DamagedFileError: naming the file.
    """

    def check(file: SnapshotFile, table: Table) -> None:
        columns = [
            column.name
            for column in table.columns
            if (with_images if plan is None else column.name in plan)
            or (not pa.types.is_large_binary(column.type) and (plan is None or file.copy is None))
        ]
        with _checked(file) as checked:
            checked.check(columns)

    for name in names:
        files = snapshot.files[name]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            run = pool.map if files and files[0].copy is not None else map
            list(run(partial(check, table=TABLES[name]), files))


@contextmanager
def _checked(file: SnapshotFile) -> Iterator[CheckedFile]:
    """A file of the snapshot. Damage is reported with its name in the lake."""
    try:
        with CheckedFile(file.copy or file.path) as checked:
            yield checked
    except DamagedFileError as error:
        raise DamagedFileError(file.source, error.reason) from None


def _partition_column(name: str, values: Sequence[str]) -> str:
    """The column as an expression of the file's number. DuckDB evaluates it per file, and so skips other partitions."""
    listed = ", ".join(map(text_literal, values))
    return f"list_extract([{listed}], 1 + CAST(parse_filename(filename, true) AS BIGINT)) AS {name_literal(name)}"


def _duckdb_type(kind: pa.DataType) -> str:
    """The type of a column as DuckDB names it when it reads the column from Parquet.

    Raises:
        KeyError: for a type that no table has.
    """
    if pa.types.is_map(kind):
        return f"MAP({_duckdb_type(kind.key_type)}, {_duckdb_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        fields = (f"{name_literal(field.name)} {_duckdb_type(field.type)}" for field in kind)
        return f"STRUCT({', '.join(fields)})"
    if pa.types.is_list(kind):
        return f"{_duckdb_type(kind.value_type)}[]"
    return _DUCKDB_TYPES[kind]


_DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.uint32(): "UINTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.large_binary(): "BLOB",
    pa.binary(): "BLOB",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}


def text_literal(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name_literal(value: str) -> str:
    """A SQL identifier."""
    return '"' + value.replace('"', '""') + '"'
