"""How the commands print tables: one look for all of them, with rich. Imported inside the commands only."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

WIDTH_OF_FILES = 200
"""Characters per line where the output goes to a file or another program instead of a terminal."""


def text_table(headings: Sequence[str], right: Sequence[str] = ()) -> Table:
    """An empty table without lines; long cells continue on the next line.

    Args:
        headings: one per column.
        right: the headings of the columns that are aligned to the right.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def wide_console() -> Console:
    """A console as wide as the terminal, or 200 characters wide where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_FILES, soft_wrap=False)
