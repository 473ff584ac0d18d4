"""Tables of questions → rows: CSV, JSON lines and Parquet. Every row is checked."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.layout import is_text
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes

ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")
NEEDED = ("image", "question")
COLUMNS = (*NEEDED, "mask", "answer", "category", "sample_id", "split")


@dataclass(frozen=True)
class Query:
    """A row. ``mask`` is None if the table has no such column, and empty if the row says that there is no target."""

    row: str
    image: str
    questions: tuple[str, ...]
    mask: str | None
    answers: tuple[str, ...]
    category: str | None
    sample_id: str | None
    split: str | None


def read_queries(path: Path) -> Iterator[Query | RejectRecord]:
    """Every row in order; rows that cannot be used as rejects.

    Raises:
        InputError: if the file is missing or damaged, of another kind, or lacks a column.
    """
    kind = path.suffix.lower()
    if kind not in ENDINGS:
        raise InputError(
            f"{path} has none of the endings {', '.join(ENDINGS)}: give a table of questions in one of these formats."
        )
    if not path.is_file():
        raise InputError(f"There is no file {path}: give the table of questions with --queries.")
    rows = {".csv": _csv_rows, ".parquet": _parquet_rows}.get(kind, _json_rows)(path)
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
    return Query(
        place,
        image,
        _texts(row, "question") or ("",),
        mask,
        _texts(row, "answer"),
        _text(row, "category"),
        _text(row, "sample_id"),
        _text(row, "split"),
    )


def _text(row: dict[str, Any], column: str) -> str | None:
    value = row.get(column)
    if column == "sample_id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not (isinstance(value, str) and is_text(value)):
        raise UnusableFileError("invalid_row", f"{column} is not text")
    return (value or "").strip() or None


def _texts(row: dict[str, Any], column: str) -> tuple[str, ...]:
    value = row.get(column)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(text, str) and is_text(text) for text in values):
        raise UnusableFileError("invalid_row", f"{column} is neither text nor a list of texts")
    return tuple(text.strip() for text in values if text.strip() or column == "question")


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UnusableFileError]]:
    """Rows with their line numbers, as an editor shows them; the header is line 1."""
    # surrogateescape, so that a bad byte affects one row only: such a text is refused later.
    text = _bytes(path).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV table ({error}): correct the file.") from error
    _require_columns(path, header)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, UnusableFileError("invalid_row", str(error))
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield number, UnusableFileError("invalid_row", f"{len(cells)} cells; the header has {len(header)}")
        else:
            yield number, dict(zip(header, cells, strict=True))


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | UnusableFileError]]:
    for number, line in enumerate(_bytes(path).removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            yield number, UnusableFileError("invalid_row", f"not JSON: {error}")
            continue
        missing = [column for column in NEEDED if not isinstance(row, dict) or column not in row]
        if missing:
            yield number, UnusableFileError("invalid_row", f"not an object with {' and '.join(missing)}")
        else:
            yield number, row


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _require_columns(path, names)
            columns = [column for column in COLUMNS if column in names]
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as a Parquet file ({error}): write it again.") from error


def _require_columns(path: Path, names: list[str]) -> None:
    missing = [column for column in NEEDED if column not in names]
    if missing:
        columns = ", ".join(names) or "none"
        raise InputError(f"{path} has no column {' and no column '.join(missing)}. Its columns: {columns}.")


def _bytes(path: Path) -> bytes:
    try:
        return file_bytes(path)
    except UnusableFileError as error:
        raise InputError(f"{path}: {error.detail}.") from error
