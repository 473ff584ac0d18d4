"""``results.duckdb``: the whole lake in one file, for tools that want a database.

The file needs nothing else: it holds tables, not views of Parquet files. The questions of ``sql/`` are views over these
tables, and every meaning is a comment. The file is built beside its final place and renamed, so a program that has it
open keeps the complete old file. Only the bytes of the images are left out; they are in the lake.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.lake_catalog import create_question_views
from t2s_pipeline.lake.questions import PARTITION_MEANINGS, Question, meaning, questions
from t2s_pipeline.lake.schema import IMAGES, TABLES
from t2s_pipeline.lake.snapshot import is_plain
from t2s_pipeline.lake.table_views import name_literal, text_literal
from t2s_pipeline.lake.views import open_tables

STORAGE_VERSION = "v1.0.0"
"""The oldest format that can hold it, so that tools with an older DuckDB can open it."""


@dataclass(frozen=True)
class _Relation:
    """A table or a view, and the meanings that become comments."""

    kind: str
    name: str
    meaning: str
    columns: Mapping[str, str]


def build_database(settings: Settings) -> Path:
    """Write ``T2S_HOME/results.duckdb`` from the lake as it is now, and return its path.

    Raises:
        InputError: if a partition is damaged or of another release, or a file of ``sql/`` cannot become a view.
        T2SError: if the disk is full.
    """
    path = settings.home / "results.duckdb"
    with atomic_file(path) as temporary, _building_place(temporary) as place:
        connection, _ = open_tables(settings, with_images=isinstance(settings.lake, Path))
        with connection:
            try:
                _copy(connection, place, questions(settings))
            except duckdb.Error as error:
                raise InputError(f"{path} cannot be built: {' '.join(str(error).split())}") from error
    return path


@contextmanager
def _building_place(target: Path) -> Iterator[Path]:
    """Where DuckDB builds the file that becomes ``target`` at the end of the block.

    It is the target itself, unless its path has a character that DuckDB takes for a part of an address. Then DuckDB
    would look for its log file in a folder that does not exist.
    """
    if is_plain(target):
        yield target
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "results.duckdb"
        yield place
        shutil.copyfile(place, target)


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, views: list[Question]) -> None:
    """Copy the connection's tables into a new database at ``path``, and create the views there."""
    connection.execute(f"ATTACH {text_literal(str(path))} AS copy (STORAGE_VERSION '{STORAGE_VERSION}')")
    for table in TABLES.values():
        left_out = "EXCLUDE (bytes)" if table is IMAGES else ""
        name = name_literal(table.name)
        connection.execute(f"CREATE TABLE copy.{name} AS SELECT * {left_out} FROM {name}")
        # A table without rows is registered with the connection, and would hide the copy from the views.
        connection.unregister(table.name)
    connection.execute("USE copy")
    create_question_views(connection, views)
    connection.begin()  # one flush for all comments, not one per comment
    for relation in _relations(connection, views):
        _comment(connection, f"{relation.kind} {name_literal(relation.name)}", relation.meaning)
        for column, words in relation.columns.items():
            _comment(connection, f"COLUMN {name_literal(relation.name)}.{name_literal(column)}", words)
    connection.commit()
    connection.execute("USE memory")
    connection.execute("DETACH copy")


def _relations(connection: duckdb.DuckDBPyConnection, views: list[Question]) -> list[_Relation]:
    """Every table and view with the meanings of its columns."""
    relations: list[_Relation] = []
    for table in TABLES.values():
        columns = {column: PARTITION_MEANINGS[column] for column in table.partition_by} | table.meanings
        if table is IMAGES:
            del columns["bytes"]
        relations.append(_Relation("TABLE", table.name, table.meaning, columns))
    for view in views:
        names = [row[0] for row in connection.execute(f"DESCRIBE {name_literal(view.name)}").fetchall()]
        relations.append(_Relation("VIEW", view.name, view.comment, {name: meaning(view, name) for name in names}))
    return relations


def _comment(connection: duckdb.DuckDBPyConnection, what: str, words: str) -> None:
    connection.execute(f"COMMENT ON {what} IS {text_literal(words)}")
