"""The view `leaderboard` as a person reads it: in a terminal and as Markdown. Orchestrator only (DuckDB)."""

from collections.abc import Mapping

from rich.table import Table

from t2s_pipeline.lake.views import query
from t2s_pipeline.settings import Settings

HEADINGS = ("system", "data", "protocol", "n", "gIoU [95 %]", "cIoU", "P@0.5", "rejected", "Δ gIoU [95 %]")
NUMBERS_FROM = HEADINGS.index("n")

_SQL = """
SELECT leaderboard.*, differences.difference, differences.low, differences.high
FROM leaderboard
LEFT JOIN paired_differences AS differences
    USING (system, dataset, split, protocol)
WHERE differences.metric IS NULL OR differences.metric = 'giou'
ORDER BY dataset, split, protocol DESC, place, system
"""


def lines(settings: Settings, dataset: str | None = None) -> list[tuple[str, ...]]:
    """One line a system, split and protocol, best first, under ``HEADINGS``; a blank where nothing was measured."""
    rows = query(settings, _SQL).to_pylist()
    return [_line(row) for row in rows if dataset in (None, row["dataset"])]


def as_table(settings: Settings, dataset: str | None = None) -> Table:
    """For a terminal. Percent; Δ is against the untrained base on the same images, in points."""
    table = Table(title="Leaderboard (percent)", title_justify="left", caption_justify="left")
    table.caption = "Δ gIoU: less the untrained base on the same images, in points. Brackets: 95 % intervals."
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index >= NUMBERS_FROM else "left", no_wrap=index < 3)
    for line in lines(settings, dataset):
        table.add_row(*line)
    return table


def as_markdown(settings: Settings, dataset: str | None = None) -> str:
    """For the web UI."""
    rule = ["---:" if index >= NUMBERS_FROM else "---" for index in range(len(HEADINGS))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [HEADINGS, rule, *lines(settings, dataset)])


def _line(row: Mapping) -> tuple[str, ...]:
    empty_targets = row["rejection_true"] + row["rejection_false"]
    return (
        row["system"],
        f"{row['dataset']}-{row['split']}",
        row["protocol"],
        str(row["n"]),
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
    return f"{_number(value, sign)} [{_number(low, sign)}, {_number(high, sign)}]"
