"""`t2s compare`: how two systems differ on the images that both answered."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def compare(
    system: Annotated[str, typer.Argument(help="Who answered.")],
    baseline: Annotated[str, typer.Argument(help="Whom it is compared with.")],
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
) -> None:
    """The difference of any two systems in points, with a 95 % interval (paired bootstrap by image).

    Computed now from the stored scores, also for pairs that the table paired_differences leaves out.
    """
    from t2s_pipeline.commands.row_formats import print_table
    from t2s_pipeline.core.errors import NotMaterializedError
    from t2s_pipeline.evaluation.pairs import compare_everywhere

    settings = Settings.from_env()
    rows = compare_everywhere(settings.lake, system, baseline, dataset, split)
    if rows.num_rows == 0:
        raise NotMaterializedError(
            f"{system} and {baseline} have no answered samples in common: `t2s leaderboard` shows who has scores."
        )
    print_table(rows, limit=1000)
