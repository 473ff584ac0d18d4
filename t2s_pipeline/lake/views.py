"""The lake as SQL sees it: an in-memory DuckDB with a view per table and a view per file of ``sql/``.

Nothing is stored: a connection is made in milliseconds and sees the lake of that moment, whatever is replaced
later. Before it is handed out it is locked: it reads the lake and nothing else, and its settings stay.
Orchestrator only; the worker has no need of DuckDB.
"""

import shutil
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.questions import Question, questions
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.snapshot import take_snapshot
from t2s_pipeline.lake.store import list_partitions, partition_file
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.versions import require_current_file


@dataclass(frozen=True)
class Limits:
    """How much one query may take; beyond that it ends with a sentence, not with the machine."""

    seconds: float = 120.0
    memory_mb: int = 2048
    """Of DuckDB's buffers; what does not fit is spilled to the disk, at most ``spill_mb``."""
    spill_mb: int = 16_384


def connect(settings: Settings, limits: Limits | None = None) -> duckdb.DuckDBPyConnection:
    """A locked connection in which every table and every question is a view; missing tables are empty.

    Keep it for as long as you use what it gave you: the files it reads are let go with it.

    Raises:
        InputError: naming the file of ``sql/`` that is not one SELECT or does not fit the tables.
    """
    limits = limits or Limits()
    connection, files = open_tables(settings)
    create_question_views(connection, questions(settings))
    scratch = _scratch(settings)
    connection.execute(f"SET allowed_directories = [{text_literal(f'{files}/')}]")
    connection.execute(f"SET temp_directory = {text_literal(str(scratch / 'spill'))}")
    connection.execute(f"SET memory_limit = '{limits.memory_mb}MiB'")
    connection.execute(f"SET max_temp_directory_size = '{limits.spill_mb}MiB'")
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def open_tables(settings: Settings) -> tuple[duckdb.DuckDBPyConnection, Path]:
    """A connection, not locked yet, with a view per table of the lake, and the folder that holds the files it reads.

    Raises:
        InputError: naming the table whose files cannot be read.
    """
    connection = duckdb.connect()
    folder = take_snapshot(settings.lake, _scratch(settings))
    if folder is not None:
        weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    files = folder or settings.lake.resolve()
    for table in TABLES.values():
        _create_table_view(connection, files, table, settings.lake)
    return connection, files


def _scratch(settings: Settings) -> Path:
    return settings.home.resolve() / "tmp"


def query(settings: Settings, sql: str, limits: Limits | None = None) -> pa.Table:
    """The rows that one SELECT gives (WITH, FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE are SELECTs too).

    Raises:
        InputError: for anything that is not exactly one SELECT, for whatever DuckDB finds wrong with it, and for
            one that takes longer or more memory than ``limits`` allow.
    """
    limits = limits or Limits()
    with connect(settings, limits) as connection:
        try:
            statement = _one_select(connection, sql)
            # DuckDB lets a SELECT carry INSERT, UPDATE, DELETE and COPY TO in its WITH clause, but only at the
            # top level: planned one level down, a statement that would write is refused before it runs.
            connection.execute(f"EXPLAIN SELECT * FROM query({text_literal(sql)})")
            with _time_limit(connection, limits.seconds):
                return connection.sql(statement.query).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            raise InputError(
                f"The query needs more than {limits.memory_mb} MB of memory: ask for less at a time, or allow more."
            ) from error
        except duckdb.Error as error:
            raise InputError(_sentence(error)) from error


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the connection's query after so many seconds.

    Raises:
        InputError: if that happened.
    """
    over = threading.Event()

    def stop() -> None:
        over.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if not over.is_set():
            raise KeyboardInterrupt from error
        raise InputError(f"The query was stopped after {seconds:g} seconds: ask for less, or allow more.") from error
    finally:
        timer.cancel()


def _create_table_view(connection: duckdb.DuckDBPyConnection, folder: Path, table: Table, lake: Path) -> None:
    """The partition columns, then the table's; a column that older files lack is null in their rows."""
    files = [partition_file(folder, table, partition) for partition in list_partitions(folder, table)]
    try:
        for path in files:
            require_current_file(table, path)
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(lake))) from None
    if not files:
        partition_columns = [pa.field(name, pa.string()) for name in table.partition_by]
        # A registered Arrow table needs no file access, and its types are the lake's own.
        connection.register(table.name, pa.schema([*partition_columns, *table.schema]).empty_table())
        return
    paths = ", ".join(text_literal(str(path)) for path in files)
    types = ", ".join(f"{name_literal(column)}: VARCHAR" for column in table.partition_by)
    hive = f"hive_partitioning = true, hive_types = {{{types}}}" if types else "hive_partitioning = false"
    source = f"read_parquet([{paths}], union_by_name = true, {hive})"
    try:
        there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        wanted = [*table.partition_by, *(column.name for column in table.columns)]
        columns = ", ".join(name_literal(c) if c in there else f"NULL AS {name_literal(c)}" for c in wanted)
        connection.execute(f"CREATE VIEW {name_literal(table.name)} AS SELECT {columns} FROM {source}")
    except duckdb.Error as error:
        found = _sentence(error).replace(str(folder), str(lake))
        raise InputError(
            f"Table {table.name} cannot be read ({found}): delete the damaged file and materialize it again."
        ) from error


def create_question_views(connection: duckdb.DuckDBPyConnection, waiting: list[Question]) -> None:
    """Create the views in whatever order they need one another: go round until nothing more resolves."""
    while waiting:
        failed: list[tuple[Question, duckdb.Error]] = []
        for question in waiting:
            if question.name in TABLES:
                raise InputError(f"{question.path} has the name of a table of the lake: rename it.")
            try:
                statement = _one_select(connection, question.sql)
                connection.execute(f"CREATE VIEW {name_literal(question.name)} AS {statement.query}")
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


def _sentence(error: duckdb.Error) -> str:
    """What DuckDB found, without its drawing of the place, on one line."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def text_literal(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name_literal(value: str) -> str:
    """A SQL identifier."""
    return '"' + value.replace('"', '""') + '"'
