"""Rows of a CSV file, so that a quote that is never closed costs its own line and no other.

The delimiter is the one that makes the header: a comma, a semicolon or a tab. A first line ``sep=;``, as Excel writes
it, names the delimiter.
"""

import csv
import io
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from t2s_pipeline.datasets.layout import IMAGE_ENDINGS, is_text
from t2s_pipeline.vision.image_files import UnusableFileError

DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class CsvTable:
    """The lines of a file after its header.

    Attributes:
        header: the names of the columns.
        lines: all lines of the file, with their ends.
        start: index of the first line after the header.
        delimiter: between cells.
    """

    header: tuple[str, ...]
    lines: tuple[str, ...]
    start: int
    delimiter: str

    def records(self) -> Iterator[tuple[int, list[str] | UnusableFileError]]:
        """(line, cells or what is wrong), in order; the first line of the file is 1. Empty lines are left out.

        After a line that cannot be read, reading goes on with the next line.
        """
        position = self.start

        def lines() -> Iterator[str]:
            nonlocal position
            while position < len(self.lines):
                position += 1
                yield self.lines[position - 1]

        reader = csv.reader(lines(), delimiter=self.delimiter, strict=True)
        while True:
            first = position
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fault = UnusableFileError("invalid_row", self._fault_at(error, first, position))
            else:
                swallowed = self._swallowed_row(first, position)
                if swallowed is None:
                    if cells:
                        yield first + 1, self._checked(cells)
                    continue
                fault = UnusableFileError("invalid_row", f"a quote is not closed: it would swallow line {swallowed}")
            yield first + 1, fault
            position = first + 1
            reader = csv.reader(lines(), delimiter=self.delimiter, strict=True)

    def _fault_at(self, error: csv.Error, first: int, end: int) -> str:
        if "unexpected end of data" in str(error):
            return "a quote is not closed"
        return str(error) if end == first + 1 else f"a quote is not closed, or closed in line {end} ({error})"

    def _swallowed_row(self, first: int, end: int) -> int | None:
        """The line (from 1) inside a record of several lines that is a row by itself: it names an image."""
        column = self.header.index("image") if "image" in self.header else 0
        for index in range(first + 1, end):
            cells = next(csv.reader([self.lines[index]], delimiter=self.delimiter), [])
            if len(cells) == len(self.header) and os.path.splitext(cells[column].strip())[1].lower() in IMAGE_ENDINGS:
                return index + 1
        return None

    def _checked(self, cells: list[str]) -> list[str] | UnusableFileError:
        if not all(map(is_text, cells)):
            detail = "it is not UTF-8: save the table as UTF-8, or name its encoding with --encoding, e.g. cp1252"
            return UnusableFileError("invalid_text", detail)
        if tuple(cell.strip() for cell in cells) == self.header:
            return UnusableFileError("invalid_row", "it repeats the header")
        if len(cells) != len(self.header):
            return UnusableFileError("invalid_row", f"{len(cells)} cells; the header has {len(self.header)}")
        return cells


def csv_table(text: str, needed: Collection[str]) -> CsvTable:
    """The table of a text.

    Args:
        text: the content of the file.
        needed: columns by which the header, and so the delimiter, is known.

    Raises:
        csv.Error: if the header cannot be read.
    """
    lines = tuple(io.StringIO(text, newline=""))
    start = 0
    delimiters: tuple[str, ...] = DELIMITERS
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip("\r\n")) == 5:
        start, delimiters = 1, (lines[0][4],)
    tables = [_with_delimiter(lines, start, delimiter) for delimiter in delimiters]
    return next((table for table in tables if set(needed) <= set(table.header)), tables[0])


def _with_delimiter(lines: tuple[str, ...], start: int, delimiter: str) -> CsvTable:
    reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
    header = tuple(name.strip() for name in next(reader, []))
    return CsvTable(header, lines, start + reader.line_num, delimiter)
