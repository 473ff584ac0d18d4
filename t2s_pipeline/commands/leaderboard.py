"""`t2s leaderboard`: the leaderboard that the demo prints."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def leaderboard(
    dataset: Annotated[str | None, typer.Option(help="Show this dataset only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects, for programs.")] = False,
) -> None:
    """Show each scored system with its intervals and its difference from its own untrained base."""
    import json
    import math

    from t2s_pipeline.commands.printing import VisibleConsole
    from t2s_pipeline.reporting.leaderboard import as_tables, board_rows

    settings = Settings.from_env()
    if as_json:
        rows = board_rows(settings, dataset).to_pylist()
        for row in rows:
            # JSON has no number that is not finite; such a value is undefined.
            row |= {key: None for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)}
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        console = VisibleConsole()
        console.print(as_tables(settings, dataset, console.width))
