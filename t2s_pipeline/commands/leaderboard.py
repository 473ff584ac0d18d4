"""`t2s leaderboard`: the leaderboard that the demo prints."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def leaderboard(dataset: Annotated[str | None, typer.Option(help="Show this dataset only.")] = None) -> None:
    """Show each scored system with its intervals and its difference from the untrained base."""
    from rich.console import Console

    from t2s_pipeline.reporting.leaderboard import as_tables

    Console().print(as_tables(Settings.from_env(), dataset))
