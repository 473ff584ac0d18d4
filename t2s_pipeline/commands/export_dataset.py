"""`t2s export-dataset`: write a split for people who do not have this package."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings


def export_dataset(
    name: Annotated[str, typer.Argument(help="An ingested dataset. `t2s doctor` lists them.")],
    split: Annotated[str, typer.Argument(help="The split: train, val or test.")],
    folder: Annotated[Path, typer.Argument(help="The folder to write. Several splits can share one folder.")],
    masks: Annotated[
        bool,
        typer.Option("--masks", help="Write the masks as files too: masks/<split>/<sample_id>.tif with their place."),
    ] = False,
) -> None:
    """Write a split as a Hugging Face dataset: Parquet with Image columns, and a dataset card.

    datasets.load_dataset(FOLDER) reads it without this package. The mask of an image with a CRS is a GeoTIFF.
    """
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.datasets.hub_export import export_split

    report = export_split(Settings.from_env(), name, split, home_expanded(folder), StderrProgress(), masks)
    print(f'{report.rows:,} samples, files: {report.files}. datasets.load_dataset("{folder}")')
