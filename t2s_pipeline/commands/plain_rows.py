"""Rows of short texts on a terminal or in a file, without rich: its import takes longer than most queries."""

import os
import shutil
from collections.abc import Sequence
from typing import TextIO

WIDTH_OF_FILES = 200
"""Characters per line where the output goes to a file or another program instead of a terminal."""

_GAP = "  "
_BOLD, _DIM = "1", "2"


class Terminal:
    """Where rows are printed: a terminal with styles, or a file."""

    def __init__(self, out: TextIO, width_elsewhere: int) -> None:
        """Look at the output.

        Args:
            out: the output.
            width_elsewhere: characters per line if it is no terminal.
        """
        self._out = out
        is_terminal = out.isatty()
        self._has_styles = is_terminal and os.environ.get("TERM") not in ("dumb", "unknown")
        self._width = shutil.get_terminal_size().columns if is_terminal else width_elsewhere

    def print_rows(self, names: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; if it is too wide, one line per value.

        Args:
            names: the headings.
            right: per column, whether it is aligned to the right.
            rows: the values, without line breaks.
        """
        lines = [names, *rows]
        widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        if sum(widths) + len(_GAP) * (len(widths) - 1) > self._width:
            self._print_records(names, rows)
            return
        for number, line in enumerate(lines):
            cells = map(_aligned, line, widths, right)
            self._print(_GAP.join(cells), "" if number else _BOLD)

    def print_dim(self, text: str) -> None:
        """Print a line that matters less."""
        self._print(text, _DIM)

    def _print_records(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        width = max(map(_width, names))
        rule = "─" if (self._out.encoding or "utf").lower().startswith("utf") else "-"
        for number, row in enumerate(rows, start=1):
            heading = f"row {number} "
            self._print(heading + rule * (self._width - len(heading)), _DIM)
            for name, cell in zip(names, row, strict=True):
                self._print(_aligned(name, width, False) + _GAP, _BOLD, end=cell + "\n")

    def _print(self, text: str, style: str, end: str = "\n") -> None:
        self._out.write((f"\x1b[{style}m{text}\x1b[0m" if style and self._has_styles else text) + end)


def _aligned(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _width(text: str) -> int:
    """The columns of a terminal that a text takes: some characters take two, and some none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
