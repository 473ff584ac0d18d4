"""`t2s compare`: the difference between two systems on the images that both answered."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def compare(
    system: Annotated[str, typer.Argument(help="The system to compare.")],
    baseline: Annotated[str, typer.Argument(help="The system that it is compared with.")],
    dataset: Annotated[str | None, typer.Option(help="Compare on this dataset only.")] = None,
    split: Annotated[str | None, typer.Option(help="Compare on this split only.")] = None,
) -> None:
    """Show the difference of two systems in points, with a 95 % interval (paired bootstrap by image).

    It is computed from the stored scores, also for pairs that are not in the table paired_differences.
    """
    from t2s_pipeline.commands.printing import text_table, wide_console
    from t2s_pipeline.core.errors import NotMaterializedError
    from t2s_pipeline.reporting.comparison import compare_everywhere

    settings = Settings.from_env()
    rows = compare_everywhere(settings.lake, system, baseline, dataset, split)
    if rows.num_rows == 0:
        raise NotMaterializedError(
            f"{system} and {baseline} have no answered samples in common. `t2s leaderboard` lists the scored systems."
        )
    numbers = ("n", "difference", "low", "high")
    table = text_table(rows.column_names, right=numbers)
    for row in rows.to_pylist():
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    wide_console().print(table)
