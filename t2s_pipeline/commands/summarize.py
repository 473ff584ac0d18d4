"""`t2s summarize`: metrics, intervals and differences of all scores."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def summarize(fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False) -> None:
    """Summarize all scores: metrics with intervals, and the difference of every two systems on the same images.

    t2s evaluate and t2s score do this at their end.
    """
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.steps.scores import Publish, Summarize

    with recording_runner(Settings.from_env(), fresh) as runner:
        runner.run(Summarize())
        runner.run(Publish())
    print("\nt2s leaderboard; t2s report; t2s database")
