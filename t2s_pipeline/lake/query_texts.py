"""The rows of a query as texts, which DuckDB itself writes.

Arrow and Python lack some types of DuckDB: nanoseconds, infinite dates, years before Christ, whole numbers of 128 bits,
intervals in months, times with a zone. So the values become texts before they leave DuckDB.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.table_views import text_literal
from t2s_pipeline.lake.views import Limits, checked_query

_EXACT = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|BIGNUM|DECIMAL\(\d+, ?\d+\)")
_REAL = re.compile(r"FLOAT|DOUBLE")
_NOT_IN_PARQUET = re.compile(r"\b(INTERVAL|TIME WITH TIME ZONE|BIT|BIGNUM)\b|\bUNION\(")
_LONG = re.compile(r"\bU?HUGEINT\b")


class Form(Enum):
    """What the values of a query are written as."""

    TEXT = "text"
    """As DuckDB prints them."""
    CUT = "cut"
    """The same, but only the beginning of a long value."""
    JSON = "json"
    """As JSON values. A number that is not finite is a text."""


ROWS_AT_ONCE = 1024
"""The most rows of a result that are in memory at a time."""

CUT_CHARACTERS = 500
"""The most characters of a value in the form ``CUT``. The bytes of images are long, and a printed cell is short."""


@dataclass(frozen=True)
class QueryTexts:
    """The rows of a query.

    Attributes:
        names: of the columns. Two columns can have one name.
        numeric: for each column, whether its values are numbers.
        rows: one text column per column of the query; a null value is null. In the form JSON, it is ``null``. A reader
            gives the rows while DuckDB computes them, once.
    """

    names: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: pa.Table | pa.RecordBatchReader


def query_texts(settings: Settings, sql: str, form: Form, limits: Limits | None = None) -> QueryTexts:
    """The rows of one SELECT as texts.

    Args:
        settings: they say where the lake and the questions are.
        sql: the SELECT.
        form: how the values are written.
        limits: how much time and memory it may use; None means the defaults.

    Raises:
        InputError: as ``lake.views.query``.
    """
    with streamed_texts(settings, sql, form, limits) as result:
        return QueryTexts(result.names, result.numeric, result.rows.read_all())


@contextmanager
def streamed_texts(settings: Settings, sql: str, form: Form, limits: Limits | None = None) -> Iterator[QueryTexts]:
    """The rows of one SELECT as texts, as DuckDB computes them. Arguments as for ``query_texts``.

    Raises:
        InputError: as ``lake.views.query``; also while the rows are read inside the block.
    """
    with checked_query(settings, sql, limits or Limits()) as connection:
        relation = connection.sql(sql)
        names, kinds = relation.columns, [str(kind) for kind in relation.types]
        columns = [_written(f"c{number}", kind, form) for number, kind in enumerate(kinds)]
        rows = connection.sql(_select(sql, columns)).to_arrow_reader(ROWS_AT_ONCE)
        yield QueryTexts(tuple(names), tuple(_is_number(kind) for kind in kinds), rows)


@contextmanager
def streamed_for_parquet(settings: Settings, sql: str, limits: Limits | None = None) -> Iterator[pa.RecordBatchReader]:
    """The rows of one SELECT with types that Parquet has. A value of another type becomes the text that DuckDB prints.

    Two columns can have one name.

    Raises:
        InputError: as ``lake.views.query``, and for a whole number of more than 38 digits; also while the rows are read
            inside the block.
    """
    with checked_query(settings, sql, limits or Limits()) as connection:
        relation = connection.sql(sql)
        names, kinds = relation.columns, [str(kind) for kind in relation.types]
        columns = [_for_parquet(f"c{number}", kind) for number, kind in enumerate(kinds)]
        rows = connection.sql(_select(sql, columns)).to_arrow_reader(ROWS_AT_ONCE)
        schema = pa.schema([field.with_name(name) for field, name in zip(rows.schema, names, strict=True)])
        yield pa.RecordBatchReader.from_batches(
            schema, (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in rows)
        )


def _select(sql: str, columns: list[str]) -> str:
    # By position, because two columns of a query can have one name.
    aliases = ", ".join(f"c{number}" for number in range(len(columns)))
    return f"SELECT {', '.join(columns)} FROM query({text_literal(sql)}) AS t({aliases})"


def _written(column: str, kind: str, form: Form) -> str:
    """The SQL expression for a column's values as texts."""
    text = f"CAST({column} AS VARCHAR)"
    match form:
        case Form.TEXT:
            return text
        case Form.CUT:
            # The bytes are cut first: the text of a byte has up to four characters.
            text = f"CAST({column}[1:{CUT_CHARACTERS}] AS VARCHAR)" if kind == "BLOB" else text
            return f"left({text}, {CUT_CHARACTERS})"
        case Form.JSON if _is_number(kind):
            # to_json would drop the last zeros of a decimal, and print a FLOAT with the digits of a DOUBLE.
            number = text if _EXACT.fullmatch(kind) else f"CASE WHEN isfinite({column}) THEN {text} END"
            return f"coalesce({number}, CAST(to_json({text}) AS VARCHAR), 'null')"
        case Form.JSON:
            return f"coalesce(CAST(to_json({column}) AS VARCHAR), 'null')"


def _for_parquet(column: str, kind: str) -> str:
    if _NOT_IN_PARQUET.search(kind):
        return f"CAST({column} AS VARCHAR)"
    # Arrow has no whole numbers of 128 bits. DuckDB hands them over as decimals of 38 digits, and a longer number
    # would become another one. The cast refuses it.
    return f"CAST({column} AS {_LONG.sub('DECIMAL(38, 0)', kind)})" if _LONG.search(kind) else column


def _is_number(kind: str) -> bool:
    return bool(_EXACT.fullmatch(kind) or _REAL.fullmatch(kind))
