"""Query results as a table for people, and as JSON, CSV and Parquet for programs."""

import base64
import csv
import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from t2s_pipeline.commands.printing import WIDTH_OF_FILES
from t2s_pipeline.core.atomic_files import atomic_file

CELL = 60
"""The most characters of a cell in a printed table; a longer text is cut."""


def write_json(rows: pa.Table, out: TextIO) -> None:
    """Write a list of objects, one per line. NaN and infinities become null, bytes become base64."""
    names = _distinct(rows.column_names)
    out.write("[")
    for i, row in enumerate(_rows(rows)):
        out.write(",\n " if i else "\n ")
        json.dump(dict(zip(names, map(plain, row), strict=True)), out, ensure_ascii=False, allow_nan=False)
    out.write("\n]\n")


def write_csv(rows: pa.Table, out: TextIO) -> None:
    """Write a header and the rows. Null becomes an empty field, lists and structs become JSON."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_distinct(rows.column_names))
    for row in _rows(rows):
        writer.writerow([_field(plain(value)) for value in row])


def write_parquet(rows: pa.Table, path: Path) -> None:
    """Write a Parquet file; after a failure there is no file."""
    with atomic_file(path) as temporary:
        pq.write_table(rows.rename_columns(_distinct(rows.column_names)), temporary, compression="zstd")


def print_table(rows: pa.Table, limit: int) -> None:
    """Print the first ``limit`` rows, with numbers aligned to the right; then the number of all rows."""
    console = Console()
    if not console.is_terminal:
        # The output goes to a file or a pager: lines keep their full length instead of being folded at 80 characters.
        console = Console(width=max(WIDTH_OF_FILES, 22 * rows.num_columns), soft_wrap=True)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        table.add_column(Text(name), justify="right" if _is_number(column.type) else "left", overflow="fold")
    cells = [[_cell(value) for value in row] for row in _rows(rows.slice(0, limit))]
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    if Measurement.get(console, console.options.update(max_width=100_000), table).maximum <= console.width:
        console.print(table)
    else:
        _print_records(console, rows.column_names, cells)
    shown = f", {limit:,} shown (--limit, --json and --csv give more)" if len(rows) > limit else ""
    console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{shown}", style="dim")


def _print_records(console: Console, names: list[str], cells: list[list[str]]) -> None:
    """Print rows that are too wide for the terminal, with one line per column."""
    width = max(map(len, names))
    for i, row in enumerate(cells, start=1):
        console.rule(f"row {i}", align="left", style="dim")
        for name, cell in zip(names, row, strict=True):
            console.print(Text.assemble((f"{name:<{width}}  ", "bold"), cell), soft_wrap=True)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def plain(value: Any) -> Any:
    """Convert a value of a query result to a value that JSON has.

    Raises:
        TypeError: for a type that has no form in JSON.
    """
    match value:
        case bool() | None | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return base64.b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            # In DuckDB, the sum of whole numbers is a decimal without decimal places.
            exponent = value.as_tuple().exponent
            return int(value) if isinstance(exponent, int) and exponent >= 0 else plain(float(value))
        case timedelta() | UUID():
            return str(value)
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _rows(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in rows.to_batches(max_chunksize=1024):
        # By position, because two columns of a query can have one name. Maps become lists of pairs, as in Arrow.
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _distinct(names: list[str]) -> list[str]:
    """``a, a`` → ``a, a_2``, because an object cannot have two fields with one name."""
    unique: dict[str, None] = {}
    for name in names:
        candidate, n = name, 1
        while candidate in unique:
            n += 1
            candidate = f"{name}_{n}"
        unique[candidate] = None
    return list(unique)


def _field(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _cell(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() | Decimal():
            return _number(plain(value) if isinstance(value, Decimal) else value)
        case bytes():
            return f"{len(value):,} bytes"
        case {"height": height, "width": width, "counts": str(counts)}:
            return f"mask {height}×{width}, {len(counts):,} bytes"
    text = " ".join(str(_field(plain(value))).split())
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def _number(value: float | int) -> str:
    """Two decimals, as papers print percentages; four significant digits where two decimals would show too little."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:.2f}" if value == 0 or 1 <= abs(value) < 1e9 else f"{value:.4g}"
