"""The view `leaderboard` for people, in a terminal and as Markdown, and the best checkpoints of the runs.

It needs DuckDB, so only the orchestrator imports it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group
from rich.text import Text

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.views import query
from t2s_pipeline.reporting.rows import Row

HEADINGS = ("system", "gIoU [95 %]", "cIoU", "P@.5", "empty", "Δ gIoU [95 %]")
CAPTION = (
    "Values are in percent, with 95 % intervals in brackets. Empty: empty targets left empty. "
    "Δ: difference from the untrained base of the same models on the same images, in points."
)

_SQL = """
SELECT leaderboard.*, differences.difference, differences.low, differences.high
FROM leaderboard
LEFT JOIN paired_differences AS differences
    ON differences.system = leaderboard.system AND differences.dataset = leaderboard.dataset
    AND differences.split = leaderboard.split AND differences.protocol = leaderboard.protocol
    AND differences.metric = 'giou' AND differences.baseline = leaderboard.base
ORDER BY dataset, split, protocol DESC, place, system
"""


@dataclass(frozen=True)
class Board:
    """One dataset's split under one protocol: one line per system, best first, with the columns ``HEADINGS``."""

    title: str
    lines: list[tuple[str, ...]]


def board_rows(settings: Settings, dataset: str | None = None) -> pa.Table:
    """The view ``leaderboard``, or its rows of one dataset, each with the difference from the system's own base."""
    rows = query(settings, _SQL)
    return rows if dataset is None else rows.filter(pc.equal(rows["dataset"], dataset))


def boards(settings: Settings, dataset: str | None = None) -> list[Board]:
    """Every board, or the boards of one dataset. A cell is empty where nothing was measured."""
    rows = board_rows(settings, dataset).to_pylist()
    grouped = groupby(rows, key=lambda row: (row["dataset"], row["split"], row["protocol"], row["n"]))
    return [
        Board(f"{name}-{split}, {protocol} protocol, {n} samples", [_line(row) for row in same])
        for (name, split, protocol, n), same in grouped
    ]


def as_tables(settings: Settings, dataset: str | None = None, width: int = 80) -> Group:
    """The boards for a terminal.

    A name that does not fit beside its numbers has a line of its own above them, so that no name is broken.

    Args:
        settings: where the lake is.
        dataset: show this dataset only.
        width: columns of the terminal.
    """
    parts: list[Text] = []
    for board in boards(settings, dataset):
        columns = list(zip(HEADINGS, *board.lines, strict=True))
        widths = [max(map(len, column)) for column in columns]
        widths[0] = min(widths[0], max(width - sum(widths[1:]) - len(widths[1:]), len(HEADINGS[0])))
        parts.append(Text(board.title, style="bold"))
        parts.append(Text(_printed(HEADINGS, widths), style="dim"))
        for name, *numbers in board.lines:
            if len(name) > widths[0]:
                parts.append(Text(name))
                name = ""
            parts.append(Text(_printed((name, *numbers), widths)))
        parts.append(Text(""))
    return Group(*parts, Text(CAPTION if parts else "Nothing has been scored yet. Run t2s demo first.", style="dim"))


def _printed(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of a board: the name to the left, the numbers to the right."""
    name, *numbers = cells
    return " ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]).rstrip()


def as_markdown(settings: Settings, dataset: str | None = None) -> str:
    """The boards as Markdown, for the web UI."""
    rule = ["---", *["---:"] * (len(HEADINGS) - 1)]
    parts = []
    for board in boards(settings, dataset):
        parts.append(f"**{board.title}**\n")
        parts += [f"| {' | '.join(row)} |" for row in [HEADINGS, rule, *board.lines]]
        parts.append("")
    return "\n".join([*parts, CAPTION])


_TREND = """
SELECT t.run, t.dataset, t.step, t.system, t.giou, t.giou_low, t.giou_high, t.giou_change, c.chosen
FROM checkpoint_trend AS t
LEFT JOIN checkpoint_choices AS c USING (run, dataset, system)
WHERE t.split = 'val' AND t.protocol = 'strict'
ORDER BY t.run, t.dataset, t.step
"""


def trend_as_markdown(settings: Settings) -> str:
    """The checkpoints of every run on val, under the strict protocol. An arrow marks the best one."""
    lines = ["| run | dataset | step | gIoU [95 %] | change | |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for row in query(settings, _TREND).to_pylist():
        cells = (
            row["run"],
            row["dataset"],
            str(row["step"]),
            _with_interval(row["giou"], row["giou_low"], row["giou_high"]),
            _number(row["giou_change"], sign="+"),
            "← chosen" if row["chosen"] else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class CheckpointChoice:
    """The system that is the best checkpoint of a run on the val split of ``dataset``."""

    run: str
    dataset: str
    system: str


def checkpoint_choices(settings: Settings) -> list[CheckpointChoice]:
    """The best checkpoint per run and dataset, sorted by both, as the view ``checkpoint_choices`` defines it."""
    sql = "SELECT run, dataset, system FROM checkpoint_choices WHERE chosen ORDER BY run, dataset"
    return [
        CheckpointChoice(run=row["run"], dataset=row["dataset"], system=row["system"])
        for row in query(settings, sql).to_pylist()
    ]


def best_giou(settings: Settings) -> dict[str, float]:
    """Run → gIoU in percent of its best checkpoint on val. With several datasets it is that of the last one by name."""
    rows = query(settings, "SELECT run, val_giou FROM checkpoint_choices WHERE chosen ORDER BY run, dataset")
    return {row["run"]: row["val_giou"] for row in rows.to_pylist()}


def _line(row: Row) -> tuple[str, ...]:
    empty_targets = row["rejection_true"] + row["rejection_false"]
    return (
        row["system"],
        _with_interval(row["giou"], row["giou_low"], row["giou_high"]),
        _number(row["ciou"]),
        _number(row["p_at_50"]),
        f"{row['rejection_true']}/{empty_targets}" if empty_targets else "",
        _with_interval(row["difference"], row["low"], row["high"], sign="+"),
    )


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.1f}"


def _with_interval(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{_number(value, sign)} [{_number(low)}, {_number(high)}]"
