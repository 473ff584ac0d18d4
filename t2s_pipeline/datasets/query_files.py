"""Tables of questions → rows: CSV, JSON lines and Parquet. Every row is checked."""

import codecs
import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import bounded_json, open_outside
from t2s_pipeline.datasets.csv_records import csv_table
from t2s_pipeline.datasets.layout import as_text, is_text
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.datasets.text_files import text_of
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes

MAX_ROWS = 20_000_000
"""The most rows of a Parquet table. A few kilobytes can state a thousand million."""
BATCH = 256
"""Rows of a Parquet table that are in memory at a time."""

ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")
NEEDED = ("image", "question")
COLUMNS = (*NEEDED, "mask", "answer", "category", "sample_id", "split")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE[:2])


@dataclass(frozen=True)
class Query:
    """A row. ``mask`` is None if the table has no such column, and empty if the row says that there is no target.

    ``answers`` holds an answer for each question, "" where there is none.
    """

    row: str
    image: str
    questions: tuple[str, ...]
    mask: str | None
    answers: tuple[str, ...]
    category: str | None
    sample_id: str | None
    split: str | None


def read_queries(path: Path, encoding: str = "") -> Iterator[Query | RejectRecord]:
    """Every row in order; rows that cannot be used as rejects.

    Args:
        path: the table.
        encoding: of a CSV or JSON lines file. Empty: UTF-8, or what a byte-order mark says.

    Raises:
        InputError: if the file is missing or damaged, of another kind or encoding, or lacks a column.
    """
    kind = path.suffix.lower()
    if kind not in ENDINGS:
        raise InputError(
            f"{path} has none of the endings {', '.join(ENDINGS)}: give a table of questions in one of these formats."
        )
    if not os.path.isfile(path):
        raise InputError(f"There is no file {path}: give the table of questions with --queries.")
    rows: Iterator[tuple[int, dict[str, Any] | UnusableFileError]]
    if kind == ".parquet":
        rows = _parquet_rows(path)
    else:
        text = _text_of_file(path, encoding)
        rows = _csv_rows(path, text) if kind == ".csv" else _json_rows(text)
    for number, row in rows:
        place = f"{path.name}:{number}"
        try:
            if isinstance(row, UnusableFileError):
                raise row
            yield _query(place, row)
        except UnusableFileError as error:
            yield RejectRecord(place, error.reason, error.detail)


def _query(place: str, row: dict[str, Any]) -> Query:
    image = _text(row, "image")
    if not image:
        raise UnusableFileError("invalid_row", "image is empty")
    mask = (_text(row, "mask") or "") if "mask" in row else None
    questions = _texts(row, "question") or ("",)
    answers = _texts(row, "answer")
    if not any(answers):
        answers = ("",) * len(questions)
    if len(answers) != len(questions):
        raise UnusableFileError("invalid_row", f"{len(questions)} questions and {len(answers)} answers")
    category, sample_id, split = (_text(row, column) for column in ("category", "sample_id", "split"))
    return Query(place, image, questions, mask, answers, category, sample_id, split)


def _is_missing(value: Any) -> bool:
    """True for null and for NaN, which pandas writes in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(row: dict[str, Any], column: str) -> str | None:
    value: Any = row.get(column)
    if _is_missing(value):
        return None
    if column == "sample_id" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if column == "sample_id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and is_text(value):
        return value.strip() or None
    raise UnusableFileError("invalid_row", f"{column} is not text")


def _texts(row: dict[str, Any], column: str) -> tuple[str, ...]:
    value = row.get(column)
    cells: list[Any] = value if isinstance(value, list) else [] if _is_missing(value) else [value]
    values = ["" if _is_missing(text) else text for text in cells]
    if not all(isinstance(text, str) and is_text(text) for text in values):
        raise UnusableFileError("invalid_row", f"{column} is neither text nor a list of texts")
    return tuple(text.strip() for text in values)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | UnusableFileError]]:
    """Rows with their line numbers, as an editor shows them; the header is line 1."""
    try:
        table = csv_table(text, NEEDED)
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV table ({error}): correct the file.") from error
    _require_columns(path, list(table.header))
    for number, cells in table.records():
        yield number, cells if isinstance(cells, UnusableFileError) else dict(zip(table.header, cells, strict=True))


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | UnusableFileError]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not is_text(line):
            yield number, UnusableFileError("invalid_text", "it is not UTF-8: save the table as UTF-8")
            continue
        try:
            row = bounded_json(line, object_pairs_hook=_object)
        except UnusableFileError as error:
            yield number, error
            continue
        except ValueError as error:
            yield number, UnusableFileError("invalid_row", f"not JSON: {error}")
            continue
        missing = [column for column in NEEDED if not isinstance(row, dict) or column not in row]
        if missing:
            yield number, UnusableFileError("invalid_row", f"not an object with {' and '.join(missing)}")
        else:
            yield number, row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise UnusableFileError("invalid_row", "an object gives a key twice")
    return content


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UnusableFileError]]:
    try:
        with open_outside(path) as stream, pq.ParquetFile(stream) as file:
            names = file.schema_arrow.names
            _require_columns(path, names)
            if file.metadata.num_rows > MAX_ROWS:
                raise InputError(f"{path} states {file.metadata.num_rows:,} rows; {MAX_ROWS:,} are allowed: split it.")
            columns = [column for column in COLUMNS if column in names]
            number = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, UnicodeDecodeError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a Parquet file ({error}): write it again.") from error


def _require_columns(path: Path, names: list[str]) -> None:
    missing = [column for column in NEEDED if column not in names]
    if missing:
        columns = ", ".join(map(as_text, names)) or "none"
        raise InputError(f"{path} has no column {' and no column '.join(missing)}. Its columns: {columns}.")
    twice = [column for column in COLUMNS if names.count(column) > 1]
    if twice:
        raise InputError(f"{path} has several columns {twice[0]}: leave one of them.")


def _text_of_file(path: Path, encoding: str) -> str:
    try:
        data = file_bytes(path)
        if encoding:
            return data.decode(encoding).removeprefix("\ufeff")
        if data[:2] not in _UTF16_MARKS and b"\0" in data[:200]:
            raise InputError(f"{path} looks like UTF-16 without a byte-order mark: give --encoding utf-16-le or -be.")
        # A bad byte spoils one line only.
        return text_of(data, "surrogateescape")
    except UnusableFileError as error:
        raise InputError(f"{path}: {error.detail}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {error.encoding} ({error.reason} at byte {error.start + 1}): "
            "name its encoding with --encoding, or save it as UTF-8."
        ) from error
