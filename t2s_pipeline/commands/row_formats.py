"""Query results as a table for people, and as JSON, CSV and Parquet for programs."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.commands.plain_rows import WIDTH_OF_FILES, Terminal
from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.visible import visible
from t2s_pipeline.lake.query_texts import QueryTexts

CELL = 60
"""The most characters of a cell in a printed table; a longer text is cut."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""The beginnings of a formula in Excel, LibreOffice and Google Sheets; the last four are full-width forms."""

GROUP_ROWS, GROUP_BYTES = 65_536, 16 * 1024 * 1024
"""A row group of a Parquet file that is written has at least this many rows or bytes."""

NULL = "NULL"
"""A null value in a printed table."""

_TEXT_OR_NOT_FINITE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\b(?:Infinity|NaN)\b')
_ALLOWED_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_QUOTED = {"NaN": '"nan"', "Infinity": '"inf"', "-Infinity": '"-inf"'}


def write_json(result: QueryTexts, out: TextIO) -> None:
    """Write a list of objects, one per line. The values are of the form ``Form.JSON``.

    JSON has no number that is not finite, so such a number becomes a text: ``"nan"``, ``"inf"``, ``"-inf"``.
    """
    names = [json.dumps(name, ensure_ascii=False) for name in _distinct(result.names)]
    out.write("[")
    for i, row in enumerate(_rows(result.rows)):
        values = (f"{name}: {_strict(value or 'null')}" for name, value in zip(names, row, strict=True))
        out.write((",\n " if i else "\n ") + "{" + _escaped(", ".join(values)) + "}")
    out.write("\n]\n")


def write_csv(result: QueryTexts, out: TextIO, for_spreadsheet: bool = False) -> None:
    """Write a header and the rows. Null is an empty field, and an empty text is ``""``, as DuckDB writes them.

    Args:
        result: the rows.
        out: where they are written to.
        for_spreadsheet: texts that a spreadsheet would take for a formula get an apostrophe. Otherwise the values are
            exact, for programs.
    """
    is_text = [for_spreadsheet and not numeric for numeric in result.numeric]
    out.write(",".join(_csv_field(_harmless(name) if for_spreadsheet else name) for name in _distinct(result.names)))
    out.write("\n")
    for row in _rows(result.rows):
        cells = (_harmless(value) if text else value for value, text in zip(row, is_text, strict=True))
        out.write(",".join(map(_csv_field, cells)) + "\n")


def _harmless(value: str | None) -> str | None:
    """A text with an apostrophe before it if a spreadsheet would compute it."""
    return f"'{value}" if value is not None and value.lstrip(" \n").startswith(_FORMULA) else value


def write_parquet(rows: pa.RecordBatchReader, path: Path) -> int:
    """Write a Parquet file and return the number of rows; after a failure there is no file."""
    names = _distinct(rows.schema.names)
    schema = pa.schema([field.with_name(name) for field, name in zip(rows.schema, names, strict=True)])
    count = 0
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in _large_batches(rows, schema):
            writer.write_table(batch)
            count += len(batch)
    return count


def _large_batches(rows: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in tables of at least ``GROUP_ROWS`` rows or ``GROUP_BYTES`` bytes: a row group each."""
    waiting: list[pa.RecordBatch] = []
    for batch in rows:
        waiting.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        if sum(map(len, waiting)) >= GROUP_ROWS or sum(part.nbytes for part in waiting) >= GROUP_BYTES:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    yield pa.Table.from_batches(waiting, schema)


def print_table(result: QueryTexts, limit: int) -> None:
    """Print the first ``limit`` rows, with numbers aligned to the right; then the number of all rows."""
    names = [visible(" ".join(name.split())) for name in result.names]
    rows = _rows(result.rows)
    cells = [[_cell(value) for value in row] for row in islice(rows, limit)]
    # The rest is counted first: a terminal then shows the rows and their number together.
    count = len(cells) + sum(1 for _ in rows)
    terminal = Terminal(sys.stdout, width_elsewhere=max(WIDTH_OF_FILES, 22 * len(names)))
    terminal.print_rows(names, result.numeric, cells)
    shown = f", {limit:,} shown (--limit, --json and --csv give more)" if count > limit else ""
    terminal.print_dim(f"{count:,} row{'' if count == 1 else 's'}{shown}")


def _rows(rows: pa.Table | pa.RecordBatchReader) -> Iterator[tuple[str | None, ...]]:
    for batch in rows.to_batches(max_chunksize=1024) if isinstance(rows, pa.Table) else rows:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _distinct(names: Sequence[str]) -> list[str]:
    """``a, a`` → ``a, a_2``, because an object cannot have two fields with one name."""
    unique: dict[str, None] = {}
    for name in names:
        candidate, n = name, 1
        while candidate in unique:
            n += 1
            candidate = f"{name}_{n}"
        unique[candidate] = None
    return list(unique)


def _escaped(text: str) -> str:
    """JSON with the control characters that it allows as escapes: the same value, and a terminal shows it."""
    return _ALLOWED_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _strict(value: str) -> str:
    """The JSON value with a text in place of a number that is not finite."""
    return _TEXT_OR_NOT_FINITE.sub(lambda match: _QUOTED.get(match[0], match[0]), value)


def _csv_field(value: str | None) -> str:
    if value is None:
        return ""
    special = not value or value != value.strip() or any(character in value for character in ',"\r\n')
    return '"' + value.replace('"', '""') + '"' if special else value


def _cell(value: str | None) -> str:
    text = NULL if value is None else visible(" ".join(value.split()))
    return text if len(text) <= CELL else text[: CELL - 1] + "…"
