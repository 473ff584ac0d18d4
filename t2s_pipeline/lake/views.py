"""The lake as SQL sees it: an in-memory DuckDB with a view per table and a view per file of ``sql/``.

Nothing is stored. A connection sees the lake as it is at that moment, even if partitions
are replaced later. The connection is locked before a caller gets it: it can read the lake and nothing else, and its
settings cannot be changed. Only the orchestrator's environment has DuckDB; the worker does not need it.
"""

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.lake_catalog import LakeCatalog, create_question_views, one_select, sentence_of
from t2s_pipeline.lake.process_limits import limit_memory
from t2s_pipeline.lake.questions import questions
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.snapshot import Snapshot, take_snapshot
from t2s_pipeline.lake.table_views import (
    check_tables,
    create_empty_tables,
    lists_catalog,
    open_table,
    scanned_tables,
    text_literal,
)

LEAST_MB = 16
"""The least memory for DuckDB's buffers, MB."""

BUFFERS = 0.6
"""The part of a process's memory that DuckDB may use for buffers. It needs the rest for what it does not count."""

_NO_MEMORY = ("Out of Memory", "memory allocation failed", "not enough memory", "bad_alloc", "bad allocation")
"""What DuckDB says if the system gives it no memory, in errors of all kinds."""

MB_PER_THREAD = 128
"""In a process with a memory limit, DuckDB has one thread per this many MB."""


@dataclass(frozen=True)
class Limits:
    """How much time and memory one query may use. A query that needs more is stopped with a message."""

    seconds: float = 120.0
    memory_mb: int = 2048
    """Memory for DuckDB's buffers. What does not fit is written to the disk, at most ``spill_mb``."""
    spill_mb: int = 16_384
    is_whole_process: bool = False
    """The memory is that of the process, which runs this query only. The operating system keeps this limit."""
    since: float | None = None
    """When the time began (``time.monotonic``); None: when the query begins."""

    @property
    def remaining_seconds(self) -> float:
        """The time that is left."""
        return self.seconds if self.since is None else max(0.01, self.since + self.seconds - time.monotonic())


def connect(settings: Settings, limits: Limits | None = None) -> duckdb.DuckDBPyConnection:
    """A locked connection in which each table and each question is a view; missing tables are empty.

    The published numbers come with the package, so they are there in an empty lake too. Every file of the lake is
    compared with its digests first.

    Keep the connection as long as you use its results: the files that it reads are removed with it.

    Raises:
        InputError: naming the file of ``sql/`` that is not one SELECT or does not fit the tables, or a partition that
            is damaged or of another release.
    """
    connection, snapshot = open_tables(settings)
    create_question_views(connection, questions(settings))
    _lock(connection, settings, snapshot, limits or Limits())
    return connection


def open_tables(settings: Settings, with_images: bool = True) -> tuple[duckdb.DuckDBPyConnection, Snapshot]:
    """A connection that is not locked yet, with one view per table, and the files that it reads.

    Args:
        settings: they say where the lake is.
        with_images: False if the bytes of the images are not read.

    Raises:
        InputError: naming a partition that is damaged or of another release.
    """
    connection, snapshot = _connection(settings)
    create_empty_tables(connection, TABLES.values())
    for table in TABLES.values():
        open_table(connection, table, snapshot)
    check_tables(snapshot, TABLES, with_images=with_images)
    return connection, snapshot


def _connection(settings: Settings, limits: Limits | None = None) -> tuple[duckdb.DuckDBPyConnection, Snapshot]:
    """A connection without any table, and the lake's files as they are now."""
    config: dict[str, str | bool | int | float | list[str]] = {}
    if limits is not None and limits.is_whole_process:
        config["threads"] = max(1, min(os.cpu_count() or 1, limits.memory_mb // MB_PER_THREAD))
    connection = duckdb.connect(config=config)
    snapshot = take_snapshot(settings.lake, _scratch(settings), TABLES.values())
    weakref.finalize(connection, snapshot.remove)
    return connection, snapshot


def _lock(connection: duckdb.DuckDBPyConnection, settings: Settings, snapshot: Snapshot, limits: Limits) -> None:
    """Keep the connection from everything but the files of the snapshot, and its settings from changes."""
    memory_mb = limits.memory_mb
    if limits.is_whole_process:
        memory_mb = max(LEAST_MB, int(BUFFERS * (memory_mb - limit_memory(memory_mb))))
    connection.execute(f"SET allowed_directories = [{text_literal(f'{snapshot.folder}/')}]")
    connection.execute(f"SET allowed_paths = [{', '.join(text_literal(str(path)) for path in snapshot.files.outside)}]")
    # A folder for each connection: DuckDB gives its files the same names in every process.
    connection.execute(f"SET temp_directory = {text_literal(str(snapshot.folder / 'spill'))}")
    connection.execute(f"SET memory_limit = '{memory_mb}MiB'")
    connection.execute(f"SET max_temp_directory_size = '{limits.spill_mb}MiB'")
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


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

    Only the tables and questions that the SELECT names are created, and only the tables that it reads are opened. Their
    files are compared with their digests first. So a damaged file, or a file of ``sql/`` with a mistake, disturbs only
    the queries that need it.

    Raises:
        InputError: as ``query``.
    """
    connection, snapshot = _connection(settings, limits)
    with ExitStack() as ending:
        ending.callback(snapshot.remove)
        ending.enter_context(connection)
        connection.execute("PRAGMA explain_output = 'all'")
        _lock(connection, settings, snapshot, limits)
        try:
            with _time_limit(connection, limits):
                one_select(connection, sql)
                _open_what_is_read(connection, sql, snapshot, LakeCatalog(connection, questions(settings)))
                yield connection
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise InputError(too_much_memory(limits)) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            # Arrow hands on an error of DuckDB that comes while rows are read. It has no number of the system.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            is_memory = any(words in str(error) for words in _NO_MEMORY)
            raise InputError(too_much_memory(limits) if is_memory else sentence_of(error)) from error


def _open_what_is_read(
    connection: duckdb.DuckDBPyConnection, sql: str, snapshot: Snapshot, catalog: LakeCatalog
) -> None:
    """Open the tables that the SELECT reads, and check their files.

    DuckDB itself says which tables these are: while a table is not opened, an empty one has its name, and the plan of
    the query names the tables that it scans.

    Raises:
        InputError: if DuckDB finds an error in the SELECT, or a partition is damaged or of another release.
    """
    catalog.create_named(sql)
    opened: set[str] = set()
    while True:
        # DuckDB allows INSERT, UPDATE, DELETE and COPY TO in the WITH clause of a SELECT, but only at the top level.
        # Inside another SELECT, DuckDB refuses a statement that writes, before it runs.
        explained = f"EXPLAIN (FORMAT JSON) SELECT * FROM query({text_literal(sql)})"
        try:
            plans = dict(connection.execute(explained).fetchall())
        except duckdb.CatalogException:
            if catalog.is_complete:
                raise
            catalog.create_all()
            continue
        if lists_catalog(plans["logical_plan"]) and not catalog.is_complete:
            catalog.create_all()
            continue
        scanned = scanned_tables(plans["logical_plan"]) & snapshot.files.names - opened
        if not scanned:
            break
        for name in sorted(scanned):
            open_table(connection, TABLES[name], snapshot)
        opened |= scanned
    check_tables(snapshot, opened, plans["physical_plan"])


def too_much_memory(limits: Limits) -> str:
    """The sentence for a query that needs more memory than it may use."""
    return f"The query needs more than {limits.memory_mb} MB of memory: ask for fewer rows, or raise the limit."


def too_much_time(limits: Limits) -> str:
    """The sentence for a query that takes longer than it may."""
    return f"The query was stopped after {limits.seconds:g} seconds: ask for fewer rows, or raise the limit."


@contextmanager
def _time_limit(connection: duckdb.DuckDBPyConnection, limits: Limits) -> Iterator[None]:
    """Interrupt the query of the connection after this time.

    Raises:
        InputError: if it was interrupted.
    """
    time_is_up = threading.Event()

    def stop() -> None:
        time_is_up.set()
        connection.interrupt()

    timer = threading.Timer(limits.remaining_seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (duckdb.InterruptException, OSError) as error:
        if isinstance(error, OSError) and (error.errno is not None or "INTERRUPT" not in str(error)):
            raise
        if not time_is_up.is_set():
            raise KeyboardInterrupt from error
        raise InputError(too_much_time(limits)) from error
    finally:
        timer.cancel()
