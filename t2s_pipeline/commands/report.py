"""`t2s report`: build the results page."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def report(
    dataset: Annotated[
        str | None, typer.Option(help="The dataset at the top of the page. Default: the one with the most samples.")
    ] = None,
) -> None:
    """Summarize all scores and build the results page, one HTML file with charts and pictures."""
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.steps.report import Report
    from t2s_pipeline.steps.scores import Summarize

    settings = Settings.from_env()
    with recording_runner(settings) as runner:
        runner.run(Summarize())
        runner.run(Report(dataset))
    print(f"\n{settings.page}")
