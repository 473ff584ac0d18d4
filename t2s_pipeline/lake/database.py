"""``results.duckdb``: the whole lake in one file, for tools that want a database. Orchestrator only.

Self-contained: tables, not views of Parquet, with the questions of ``sql/`` as views over them and every meaning as
a comment. It is built beside its place and renamed, so whoever has it open keeps the old one, whole. Only the images'
bytes are left out; they are in the lake.
"""

from pathlib import Path

import duckdb

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.questions import PARTITION_MEANINGS, Question, meaning, questions
from t2s_pipeline.lake.schema import IMAGES, TABLES
from t2s_pipeline.lake.views import create_question_views, name_literal, open_tables, text_literal

STORAGE_VERSION = "v1.0.0"
"""The oldest format that holds it, so that tools with an older DuckDB can open it."""


def build_database(settings: Settings) -> Path:
    """Write ``T2S_HOME/results.duckdb`` from the lake of this moment and return its path.

    Raises:
        InputError: if a partition is damaged or a file of ``sql/`` is no view.
        T2SError: if the disk is full.
    """
    path = settings.home / "results.duckdb"
    with atomic_file(path) as temporary:
        connection, _ = open_tables(settings)
        with connection:
            try:
                place = text_literal(str(temporary))
                connection.execute(f"ATTACH {place} AS made (STORAGE_VERSION '{STORAGE_VERSION}')")
                for table in TABLES.values():
                    left_out = "EXCLUDE (bytes)" if table is IMAGES else ""
                    name = name_literal(table.name)
                    connection.execute(f"CREATE TABLE made.{name} AS SELECT * {left_out} FROM {name}")
                    # A table without rows is a registered one, which would hide the copy from the views.
                    connection.unregister(table.name)
                connection.execute("USE made")
                asked = questions(settings)
                create_question_views(connection, list(asked))
                connection.begin()  # one flush, not one a comment
                _explain(connection, asked)
                connection.commit()
                connection.execute("USE memory")
                connection.execute("DETACH made")
            except duckdb.Error as error:
                raise InputError(f"{path} cannot be built: {' '.join(str(error).split())}") from error
    return path


def _explain(connection: duckdb.DuckDBPyConnection, asked: list[Question]) -> None:
    """Give every table, view and column its meaning as a comment."""
    told: dict[str, tuple[str, str, dict[str, str]]] = {}
    for table in TABLES.values():
        partitions = {column: PARTITION_MEANINGS[column] for column in table.partition_by}
        told[table.name] = ("TABLE", table.meaning, {**partitions, **table.meanings})
    for question in asked:
        columns = [row[0] for row in connection.execute(f"DESCRIBE {name_literal(question.name)}").fetchall()]
        told[question.name] = ("VIEW", question.comment, {column: meaning(question, column) for column in columns})
    told[IMAGES.name][2].pop("bytes")
    for name, (kind, words, columns) in told.items():
        _comment(connection, f"{kind} {name_literal(name)}", words)
        for column, meant in columns.items():
            _comment(connection, f"COLUMN {name_literal(name)}.{name_literal(column)}", meant)


def _comment(connection: duckdb.DuckDBPyConnection, what: str, words: str) -> None:
    connection.execute(f"COMMENT ON {what} IS {text_literal(words)}")
