"""`t2s plan evaluate`: what an evaluation will cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from t2s_pipeline.steps.evaluation_bill import BilledSplit


def print_bill(
    systems: Sequence[str], datasets: Sequence[str], splits: Sequence[str], devices: int, as_json: bool
) -> None:
    """Print what the evaluation of systems costs.

    Args:
        systems: names of systems.
        datasets: keys of datasets; empty: the one that each system was trained on.
        splits: of each dataset.
        devices: how many answer at the same time.
        as_json: print JSON, for programs.

    Raises:
        InputError: if there is no such system, or a split's size is not known.
    """
    import dataclasses
    import json

    from t2s_pipeline.commands.printing import VisibleConsole
    from t2s_pipeline.steps.evaluation_bill import bill
    from t2s_pipeline.systems.resolve import resolve

    if not systems:
        raise InputError("Name at least one system: t2s plan evaluate SYSTEM…")
    settings = Settings.from_env()
    rows = bill(settings, [resolve(name, settings) for name in systems], datasets, splits)
    known = [row.device_hours for row in rows if row.device_hours is not None]
    total = sum(known) if len(known) == len(rows) else None
    size = sum(row.size for row in rows)
    if as_json:
        listed = [dataclasses.asdict(row) | {"device_hours": row.device_hours} for row in rows]
        hours = None if total is None else total / devices
        sums = {"devices": devices, "device_hours": total, "hours": hours, "bytes": size}
        print(json.dumps({"splits": listed, **sums}, indent=1))
        return
    console = VisibleConsole()
    console.print(_table(rows))
    together = None if total is None else total / devices
    console.print(
        f"Together: {_hours(total)} device hours, {_hours(together)} hours on {devices} devices of that kind, "
        f"{size / 1e6:.1f} MB. Starting processes and loading models come on top.",
        highlight=False,
    )


def _table(rows: "Sequence[BilledSplit]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("system", "split", "answers", "s per answer", "device hours", "MB", "rate"):
        is_text = column in ("system", "split", "rate")
        table.add_column(column, justify="left" if is_text else "right", no_wrap=column in ("system", "split"))
    for row in rows:
        answers = f"{row.answers:,}" + ("" if row.counted else " (as published)")
        seconds = "?" if row.seconds is None else f"{row.seconds:.3g}"
        table.add_row(
            row.system,
            f"{row.dataset}-{row.split}",
            answers,
            seconds,
            _hours(row.device_hours),
            f"{row.size / 1e6:.1f}",
            row.source,
        )
    return table


def _hours(hours: float | None) -> str:
    return "?" if hours is None else f"{hours:.3g}"
