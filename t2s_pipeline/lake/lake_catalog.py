"""What a SELECT can name: the tables of the lake and the questions of ``sql/``. They are created when it names them."""

import re

import duckdb

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.questions import Question
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.table_views import create_empty_tables, name_literal

_WORD = re.compile(r"\w+")


class LakeCatalog:
    """The tables and questions of a connection. To create all of them takes as long as a small query."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, questions: list[Question]) -> None:
        """Remember what could be created.

        Raises:
            InputError: naming a question that has the name of a table.
        """
        for question in questions:
            _require_own_name(question)
        self._connection = connection
        self._tables = dict(TABLES)
        self._questions = questions

    @property
    def is_complete(self) -> bool:
        """Whether everything is created."""
        return not self._tables and not self._questions

    def create_named(self, sql: str) -> None:
        """Create the empty tables and the questions whose names are words of the SELECT, and those that these name.

        A name that is no word of it, such as one that is put together of two texts, is created by ``create_all``, when
        DuckDB does not find it.

        Raises:
            InputError: as ``create_question_views``.
        """
        words = set(_WORD.findall(sql.lower()))
        create_empty_tables(self._connection, [self._tables.pop(name) for name in sorted(words & self._tables.keys())])
        named = [question for question in self._questions if question.name.lower() in words]
        self._questions = [question for question in self._questions if question not in named]
        for question in named:
            self.create_named(question.sql)
        create_question_views(self._connection, named)

    def create_all(self) -> None:
        """Create everything that is not created yet.

        Raises:
            InputError: as ``create_question_views``.
        """
        create_empty_tables(self._connection, self._tables.values())
        self._tables = {}
        waiting, self._questions = self._questions, []
        create_question_views(self._connection, waiting)


def create_question_views(connection: duckdb.DuckDBPyConnection, views: list[Question]) -> None:
    """Create the views. A view that reads another one is tried again when the others are created.

    Raises:
        InputError: naming the file that is not one SELECT, does not fit the tables, or has the name of a table.
    """
    waiting = views
    while waiting:
        failed: list[tuple[Question, duckdb.Error]] = []
        for question in waiting:
            _require_own_name(question)
            try:
                statement = one_select(connection, question.sql)
                connection.execute(f"CREATE VIEW {name_literal(question.name)} AS {statement.query}")
            except duckdb.CatalogException as error:
                failed.append((question, error))
            except duckdb.Error as error:
                raise InputError(f"{question.path}: {sentence_of(error)}") from error
            except InputError as error:
                raise InputError(f"{question.path}: {error}") from error
        if len(failed) == len(waiting):
            question, reason = failed[0]
            raise InputError(f"{question.path}: {sentence_of(reason)}") from reason
        waiting = [question for question, _ in failed]


def _require_own_name(question: Question) -> None:
    if question.name.lower() in TABLES:
        raise InputError(f"{question.path} has the name of a table of the lake: rename the file.")


def one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one SELECT that a text is.

    Raises:
        InputError: if it is not exactly one SELECT.
    """
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


def sentence_of(error: Exception) -> str:
    """The message of DuckDB on one line, without the excerpt of the SQL text."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())
