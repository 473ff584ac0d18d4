"""The lake as SQL sees it: an in-memory DuckDB with a view per table and a view per file of ``sql/``.

Nothing is stored: a connection is made in milliseconds and sees the lake of that moment, whatever is replaced
later. Before it is handed out it is locked: it reads the lake and nothing else, and its settings stay.
Orchestrator only; the worker has no need of DuckDB.
"""

import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from t2s_pipeline.errors import InputError
from t2s_pipeline.lake.schema import TABLES, Table
from t2s_pipeline.lake.snapshot import take_snapshot
from t2s_pipeline.lake.store import list_partitions, partition_file
from t2s_pipeline.settings import Settings


@dataclass(frozen=True)
class Question:
    """A file of ``sql/``: one SELECT, the view's name its file's, its leading comment what it answers."""

    name: str
    path: Path
    comment: str
    sql: str


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A locked connection in which every table and every question is a view; missing tables are empty.

    Keep it for as long as you use what it gave you: the files it reads are let go with it.

    Raises:
        InputError: naming the file of ``sql/`` that is not one SELECT or does not fit the tables.
    """
    connection = duckdb.connect()
    scratch = settings.home.resolve() / "tmp"
    folder = take_snapshot(settings.lake, scratch)
    if folder is not None:
        weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    files = folder or settings.lake.resolve()
    for table in TABLES.values():
        _create_table_view(connection, files, table, settings.lake)
    _create_question_views(connection, questions(settings))
    connection.execute(f"SET allowed_directories = [{_text(f'{files}/')}]")
    connection.execute(f"SET temp_directory = {_text(str(scratch / 'spill'))}")
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def query(settings: Settings, sql: str) -> pa.Table:
    """The rows that one SELECT gives (WITH, FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE are SELECTs too).

    Raises:
        InputError: for anything that is not exactly one SELECT, and for whatever DuckDB finds wrong with it.
    """
    with connect(settings) as connection:
        try:
            statement = _one_select(connection, sql)
            # DuckDB lets a SELECT carry INSERT, UPDATE, DELETE and COPY TO in its WITH clause, but only at the
            # top level: planned one level down, a statement that would write is refused before it runs.
            connection.execute(f"EXPLAIN SELECT * FROM query({_text(sql)})")
            return connection.sql(statement.query).to_arrow_table()
        except duckdb.Error as error:
            raise InputError(_sentence(error)) from error


def questions(settings: Settings) -> list[Question]:
    """Every file of ``sql/``, by name."""
    found = []
    for path in sorted(settings.sql_dir.glob("*.sql")):
        text = path.read_text("utf-8")
        found.append(Question(path.stem, path, _leading_comment(text), text))
    return found


def _create_table_view(connection: duckdb.DuckDBPyConnection, folder: Path, table: Table, lake: Path) -> None:
    """The partition columns, then the table's; a column that older files lack is null in their rows."""
    files = [partition_file(folder, table, partition) for partition in list_partitions(folder, table)]
    if not files:
        partition_columns = [pa.field(name, pa.string()) for name in table.partition_by]
        # A registered Arrow table needs no file access, and its types are the lake's own.
        connection.register(table.name, pa.schema([*partition_columns, *table.schema]).empty_table())
        return
    paths = ", ".join(_text(str(path)) for path in files)
    types = ", ".join(f"{_name(column)}: VARCHAR" for column in table.partition_by)
    hive = f"hive_partitioning = true, hive_types = {{{types}}}" if types else "hive_partitioning = false"
    source = f"read_parquet([{paths}], union_by_name = true, {hive})"
    try:
        there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        wanted = [*table.partition_by, *(column.name for column in table.columns)]
        columns = ", ".join(_name(c) if c in there else f"NULL AS {_name(c)}" for c in wanted)
        connection.execute(f"CREATE VIEW {_name(table.name)} AS SELECT {columns} FROM {source}")
    except duckdb.Error as error:
        found = _sentence(error).replace(str(folder), str(lake))
        raise InputError(
            f"Table {table.name} cannot be read ({found}): delete the damaged file and materialize it again."
        ) from error


def _create_question_views(connection: duckdb.DuckDBPyConnection, waiting: list[Question]) -> None:
    """Create the views in whatever order they need one another: go round until nothing more resolves."""
    while waiting:
        failed: list[tuple[Question, duckdb.Error]] = []
        for question in waiting:
            if question.name in TABLES:
                raise InputError(f"{question.path} has the name of a table of the lake: rename it.")
            try:
                statement = _one_select(connection, question.sql)
                connection.execute(f"CREATE VIEW {_name(question.name)} AS {statement.query}")
            except duckdb.CatalogException as error:
                failed.append((question, error))
            except duckdb.Error as error:
                raise InputError(f"{question.path}: {_sentence(error)}") from error
            except InputError as error:
                raise InputError(f"{question.path}: {error}") from error
        if len(failed) == len(waiting):
            question, error = failed[0]
            raise InputError(f"{question.path}: {_sentence(error)}") from error
        waiting = [question for question, _ in failed]


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise InputError(f"Give exactly one SELECT, not {len(statements)} statements.")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise InputError(f"Give exactly one SELECT: the lake is read-only to SQL, and this is {kind}.")
    return statements[0]


def _leading_comment(sql: str) -> str:
    """The ``--`` lines at the top, joined."""
    lines = []
    for line in sql.lstrip().splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.lstrip("- ").rstrip())
    return " ".join(line for line in lines if line)


def _sentence(error: duckdb.Error) -> str:
    """What DuckDB found, without its drawing of the place, on one line."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def _text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    """A SQL identifier."""
    return '"' + value.replace('"', '""') + '"'
