"""The lake as SQL sees it: an in-memory DuckDB with a view per table and a view per file of ``sql/``.

Nothing is stored. A connection is made in milliseconds and sees the lake as it is at that moment, even if partitions
are replaced later. The connection is locked before a caller gets it: it can read the lake and nothing else, and its
settings cannot be changed. Only the orchestrator's environment has DuckDB; the worker does not need it.
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
    """How much time and memory one query may use. A query that needs more is stopped with a message."""

    seconds: float = 120.0
    memory_mb: int = 2048
    """Memory for DuckDB's buffers. What does not fit is written to the disk, at most ``spill_mb``."""
    spill_mb: int = 16_384


def connect(settings: Settings, limits: Limits | None = None) -> duckdb.DuckDBPyConnection:
    """A locked connection in which each table and each question is a view; missing tables are empty.

    Keep the connection as long as you use its results: the files that it reads are removed with it.

    Raises:
        InputError: naming the file of ``sql/`` that is not one SELECT or does not fit the tables, or a partition of
            another release.
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
    """A connection that is not locked yet, with one view per table, and the folder with the files that it reads.

    Raises:
        InputError: naming the table whose files cannot be read, or a partition of another release.
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
    """The rows of one SELECT (WITH, FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE are SELECTs too).

    Args:
        settings: they say where the lake and the questions are.
        sql: the SELECT.
        limits: how much time and memory it may use; None means the defaults.

    Raises:
        InputError: if it is not exactly one SELECT, if DuckDB finds an error in it, or if it needs more time or memory
            than ``limits`` allow.
    """
    limits = limits or Limits()
    with connect(settings, limits) as connection:
        try:
            statement = _one_select(connection, sql)
            # DuckDB allows INSERT, UPDATE, DELETE and COPY TO in the WITH clause of a SELECT, but only at the top
            # level. Inside another SELECT, DuckDB refuses a statement that writes, before it runs.
            connection.execute(f"EXPLAIN SELECT * FROM query({text_literal(sql)})")
            with _time_limit(connection, limits.seconds):
                return connection.sql(statement.query).to_arrow_table()
        except duckdb.OutOfMemoryException as error:
            raise InputError(
                f"The query needs more than {limits.memory_mb} MB of memory: ask for fewer rows, or raise the limit."
            ) from error
        except duckdb.Error as error:
            raise InputError(_sentence(error)) from error


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the query of the connection after this time.

    Raises:
        InputError: if it was interrupted.
    """
    time_is_up = threading.Event()

    def stop() -> None:
        time_is_up.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if not time_is_up.is_set():
            raise KeyboardInterrupt from error
        raise InputError(
            f"The query was stopped after {seconds:g} seconds: ask for fewer rows, or raise the limit."
        ) from error
    finally:
        timer.cancel()


def _create_table_view(connection: duckdb.DuckDBPyConnection, folder: Path, table: Table, lake: Path) -> None:
    """Create the view of a table: its partition columns, then its columns, null where an older file lacks one."""
    files = [partition_file(folder, table, partition) for partition in list_partitions(folder, table)]
    try:
        for path in files:
            require_current_file(table, path)
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(lake))) from None
    if not files:
        partition_columns = [pa.field(name, pa.string()) for name in table.partition_by]
        # A registered Arrow table needs no file access, and has exactly the types of the table.
        connection.register(table.name, pa.schema([*partition_columns, *table.schema]).empty_table())
        return
    paths = ", ".join(text_literal(str(path)) for path in files)
    types = ", ".join(f"{name_literal(column)}: VARCHAR" for column in table.partition_by)
    hive = f"hive_partitioning = true, hive_types = {{{types}}}" if types else "hive_partitioning = false"
    source = f"read_parquet([{paths}], union_by_name = true, {hive})"
    try:
        in_files = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        names = [*table.partition_by, *(column.name for column in table.columns)]
        columns = ", ".join(("" if name in in_files else "NULL AS ") + name_literal(name) for name in names)
        connection.execute(f"CREATE VIEW {name_literal(table.name)} AS SELECT {columns} FROM {source}")
    except duckdb.Error as error:
        reason = _sentence(error).replace(str(folder), str(lake))
        raise InputError(
            f"Table {table.name} cannot be read ({reason}): delete the damaged file and materialize it again."
        ) from error


def create_question_views(connection: duckdb.DuckDBPyConnection, views: list[Question]) -> None:
    """Create the views. A view that reads another one is tried again when the others are created.

    Raises:
        InputError: naming the file that is not one SELECT, does not fit the tables, or has the name of a table.
    """
    waiting = views
    while waiting:
        failed: list[tuple[Question, duckdb.Error]] = []
        for question in waiting:
            if question.name in TABLES:
                raise InputError(f"{question.path} has the name of a table of the lake: rename the file.")
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
            question, reason = failed[0]
            raise InputError(f"{question.path}: {_sentence(reason)}") from reason
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
    """The message of DuckDB on one line, without the excerpt of the SQL text."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def text_literal(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name_literal(value: str) -> str:
    """A SQL identifier."""
    return '"' + value.replace('"', '""') + '"'
