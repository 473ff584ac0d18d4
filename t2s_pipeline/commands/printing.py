"""How the commands print tables: one look for all of them, with rich. Imported inside the commands only."""

import shlex
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from t2s_pipeline.commands.plain_rows import WIDTH_OF_FILES
from t2s_pipeline.core.visible import visible


class VisibleConsole(Console):
    """A console on which no text acts on the terminal: only the styles of this program do."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As ``Console.render``, with control characters of texts as escapes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


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
    console = VisibleConsole()
    return console if console.is_terminal else VisibleConsole(width=WIDTH_OF_FILES, soft_wrap=False)


def print_indented(console: Console, text: str, indent: int = 2, style: str = "") -> None:
    """Print a text with every line indented. Lines break between words, so names and paths stay whole."""
    margin = " " * indent
    lines = textwrap.wrap(
        text,
        console.width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(Text(line, style=style), soft_wrap=True)


def print_command(console: Console, command: str, indent: int = 4) -> None:
    """Print a command that can be copied. Where it is too long for a line, it goes on after a backslash."""
    first, *words = map(shlex.quote, shlex.split(command))
    lines = [first]
    for word in words:
        # What is added to a line: the margin with its arrow, a blank, and perhaps the backslash with its blank.
        if indent + 2 + len(lines[-1]) + 1 + len(word) + 2 > console.width:
            lines[-1] += " \\"
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    for index, line in enumerate(lines):
        mark = "  " if index else "→ "
        console.print(f"{' ' * indent}{mark}{line}", highlight=False, markup=False, soft_wrap=True)
