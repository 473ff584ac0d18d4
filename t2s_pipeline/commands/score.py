"""`t2s score`: put a system made elsewhere into every table."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def score(
    name: Annotated[str, typer.Argument(help="What to call the system: lisa, pixellm, psalm, segearth-r1, …")],
    predictions: Annotated[
        Path,
        typer.Option(help="Folder of <sample_id>.png, COCO results .json, .parquet, or the authors' geo_results.json."),
    ],
    dataset: Annotated[str, typer.Option(help='Key of the dataset, as `t2s sql "from samples"` shows it.')],
    split: Annotated[str, typer.Option(help="val or test")],
    side: Annotated[
        int | None, typer.Option(min=1, help="Square of the reference protocol; by default the masks' own, else 840.")
    ] = None,
    question: Annotated[int, typer.Option(min=0, help="Which question is answered where the file does not say.")] = 0,
    answers_as: Annotated[
        str, typer.Option(help="For texts: the experiment whose prompt combination and segmenter apply.")
    ] = "think2seg-rs-3b",
) -> None:
    """Score predictions of another project by the same code as ours, under both protocols.

    Masks may have the image's own size or that of the resized image. Missing and surplus samples are counted and
    listed: t2s sql "from prediction_rejects". A sample without a mask scores 0.
    """
    from t2s_pipeline.external.score import ForeignAnswers, score_foreign
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.worker.launcher import plain_launch

    settings = Settings.from_env()
    foreign = ForeignAnswers(name, predictions.expanduser(), dataset, split, side, question, answers_as)
    score_foreign(Runner(settings, plain_launch(settings)), foreign)
    print(f"""\nt2s leaderboard --dataset {dataset}; t2s sql "from prediction_rejects where system = '{name}'".""")
