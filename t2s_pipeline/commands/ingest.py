"""`t2s ingest`: a folder of images, labels and questions becomes a dataset of the lake."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.settings import Settings


def ingest(
    folder: Annotated[Path, typer.Argument(help="Holds {train,val,test}/{images,labels,QAs}.")],
    fresh: Annotated[bool, typer.Option("--fresh", help="Read again what has not changed.")] = False,
) -> None:
    """Read a folder in EarthReason's layout into images, samples and rejects.

    The dataset is called as the folder. A file that cannot be used is set aside with its reason, never skipped
    in silence: t2s sql "from rejects".
    """
    from t2s_pipeline.datasets.registry import splits_of
    from t2s_pipeline.launching import plain_launch
    from t2s_pipeline.sources import add_dataset
    from t2s_pipeline.steps import Steps

    settings = Settings.from_env()
    key = add_dataset(settings, folder)
    steps = Steps(settings, plain_launch(settings), fresh=fresh)
    for split in splits_of(folder):
        steps.tables(key, split)
    print(f"""\nt2s sql "from samples where dataset = '{key}'"; what was set aside: t2s sql "from rejects".""")
