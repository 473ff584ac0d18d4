"""`t2s leaderboard`: who is best, as the demo prints it."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def leaderboard(dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None) -> None:
    """Every scored system with its intervals and its difference from the untrained base."""
    from rich.console import Console

    from t2s_pipeline.reporting.leaderboard import as_tables

    Console().print(as_tables(Settings.from_env(), dataset))
