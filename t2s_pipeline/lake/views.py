"""The lake as SQL sees it: an in-memory DuckDB with a view per table and a view per file of ``sql/``.

Nothing is stored. A connection is made in milliseconds and sees the lake as it is at that moment, even if partitions
are replaced later. The connection is locked before a caller gets it: it can read the lake and nothing else, and its
settings cannot be changed. Only the orchestrator's environment has DuckDB; the worker does not need it.
"""

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.lake.questions import Question, questions
from t2s_pipeline.lake.schema import PUBLISHED_METRICS, TABLES
from t2s_pipeline.lake.snapshot import Snapshot, take_snapshot
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

    The published numbers come with the package, so they are there in an empty lake too.

    Keep the connection as long as you use its results: the files that it reads are removed with it.

    Raises:
        InputError: naming the file of ``sql/`` that is not one SELECT or does not fit the tables, or a partition of
            another release.
    """
    limits = limits or Limits()
    connection, snapshot = open_tables(settings)
    create_question_views(connection, questions(settings))
    scratch = _scratch(settings)
    connection.execute(f"SET allowed_directories = [{text_literal(f'{snapshot.folder}/')}]")
    connection.execute(f"SET allowed_paths = [{', '.join(text_literal(str(path)) for path in snapshot.outside)}]")
    connection.execute(f"SET temp_directory = {text_literal(str(scratch / 'spill'))}")
    connection.execute(f"SET memory_limit = '{limits.memory_mb}MiB'")
    connection.execute(f"SET max_temp_directory_size = '{limits.spill_mb}MiB'")
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def open_tables(settings: Settings) -> tuple[duckdb.DuckDBPyConnection, Snapshot]:
    """A connection that is not locked yet, with one view per table, and the files that it reads.

    Raises:
        InputError: naming the table whose files cannot be read, or a partition of another release.
    """
    connection = duckdb.connect()
    snapshot = take_snapshot(settings.lake, _scratch(settings))
    weakref.finalize(connection, snapshot.remove)
    for table in TABLES.values():
        _create_table_view(connection, table, snapshot)
    return connection, snapshot


def _scratch(settings: Settings) -> Path:
    return settings.home.resolve() / "tmp"


def query(settings: Settings, sql: str, limits: Limits | None = None) -> pa.Table:
    """The rows of one SELECT (WITH, FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE are SELECTs too).

    Arrow lacks some types of DuckDB. ``lake/query_texts.py`` gives every value as DuckDB prints it.

    Args:
        settings: they say where the lake and the questions are.
        sql: the SELECT.
        limits: how much time and memory it may use; None means the defaults.

    Raises:
        InputError: if it is not exactly one SELECT, if DuckDB finds an error in it, or if it needs more time or memory
            than ``limits`` allow.
    """
    with checked_query(settings, sql, limits or Limits()) as connection:
        return connection.sql(sql).to_arrow_table()


@contextmanager
def checked_query(settings: Settings, sql: str, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for one SELECT that was checked. The errors of DuckDB inside the block become sentences.

    Raises:
        InputError: as ``query``.
    """
    with connect(settings, limits) as connection:
        try:
            _one_select(connection, sql)
            # DuckDB allows INSERT, UPDATE, DELETE and COPY TO in the WITH clause of a SELECT, but only at the top
            # level. Inside another SELECT, DuckDB refuses a statement that writes, before it runs.
            connection.execute(f"EXPLAIN SELECT * FROM query({text_literal(sql)})")
            with _time_limit(connection, limits.seconds):
                yield connection
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


def _create_table_view(connection: duckdb.DuckDBPyConnection, table: Table, snapshot: Snapshot) -> None:
    """Create the view of a table: its partition columns, then its columns, null where no file has one.

    The values of the partition columns are those that ``list_partitions`` gives. DuckDB could read them from the paths,
    but then a folder above the lake that is named like a partition counts too.

    The published numbers are those of this release, whatever an earlier one wrote into the lake.
    """
    if table is PUBLISHED_METRICS:
        connection.register(table.name, published_metrics())
        return
    files = snapshot.files[table.name]
    partition_columns = [pa.field(name, pa.string()) for name in table.partition_by]
    # A registered Arrow table needs no file access, and has exactly the types of the table.
    empty = pa.schema([*partition_columns, *table.schema]).empty_table()
    if not files:
        connection.register(table.name, empty)
        return
    try:
        for file in files:
            require_current_file(table, file.path)
        paths = ", ".join(text_literal(str(file.path)) for file in files)
        source = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false, filename = true)"
        in_files = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        columns = [_partition_column(name, [file.partition[name] for file in files]) for name in table.partition_by]
        for name in table.schema.names:
            columns.append(name_literal(name) if name in in_files else _null_column(connection, empty, name))
        connection.execute(f"CREATE VIEW {name_literal(table.name)} AS SELECT {', '.join(columns)} FROM {source}")
    except InputError as error:
        raise InputError(_naming_sources(str(error), snapshot, table)) from None
    except duckdb.Error as error:
        reason = _naming_sources(_sentence(error), snapshot, table)
        raise InputError(
            f"Table {table.name} cannot be read ({reason}): delete the damaged file and materialize it again."
        ) from error


def _partition_column(name: str, values: Sequence[str]) -> str:
    """The column as an expression of the file's number. DuckDB evaluates it per file, and so skips other partitions."""
    listed = ", ".join(map(text_literal, values))
    return f"list_extract([{listed}], 1 + CAST(parse_filename(filename, true) AS BIGINT)) AS {name_literal(name)}"


def _null_column(connection: duckdb.DuckDBPyConnection, empty: pa.Table, name: str) -> str:
    """A column that no file has: null, of the type that the table says."""
    (kind,) = connection.from_arrow(empty.select([name])).types
    return f"CAST(NULL AS {kind}) AS {name_literal(name)}"


def _naming_sources(message: str, snapshot: Snapshot, table: Table) -> str:
    """The message with the names of the lake's files in place of those of the snapshot."""
    for file in snapshot.files[table.name]:
        message = message.replace(str(file.path), str(file.source))
    return message


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
    try:
        sql.encode("utf-8")  # bytes of another encoding, as an argument of a command holds them, cannot be encoded
    except UnicodeEncodeError as error:
        raise InputError(f"The SELECT is not UTF-8 text (character {error.start + 1}): write it in UTF-8.") from error
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise InputError(f"Give exactly one SELECT, not {len(statements)} statements.")
    if statements[0].type == duckdb.StatementType.MULTI:
        # DuckDB makes several statements of a PIVOT whose values are not listed; the first one creates a type.
        raise InputError("A PIVOT needs its values: list them with IN (…), as in PIVOT … ON split IN ('val', 'test').")
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
