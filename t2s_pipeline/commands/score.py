"""`t2s score`: score the predictions of another project, so that they appear in all tables."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings


def score(
    name: Annotated[str, typer.Argument(help="A name for the system: lisa, pixellm, psalm, segearth-r1, …")],
    predictions: Annotated[
        Path,
        typer.Option(
            help="A folder of <sample_id>.png (.tif, .jpg, .npy), COCO results .json, .parquet, or the authors' "
            "geo_results.json."
        ),
    ],
    dataset: Annotated[str, typer.Option(help='The dataset, as `t2s sql "from samples"` names it.')],
    split: Annotated[str, typer.Option(help="The split: val or test.")],
    side: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side of the reference protocol's square, in pixels. Default: that of the masks, or 840."
        ),
    ] = None,
    question: Annotated[
        int, typer.Option(min=0, help="Index of the answered question, where the file does not give it.")
    ] = 0,
    objects: Annotated[
        bool,
        typer.Option("--objects", help="Several masks of one sample are objects of one answer: unite them."),
    ] = False,
    min_score: Annotated[
        float | None,
        typer.Option(help="The score from which an entry counts. Default: 0.5 where a file has detections, else none."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Values above it are target. Default: the middle of probabilities, else 0.")
    ] = None,
    answers_as: Annotated[
        str, typer.Option(help="For texts: the experiment whose prompt combination and segmenter apply.")
    ] = "think2seg-rs-3b",
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="For texts: change a setting of --answers-as: segmenter=PATH."),
    ] = None,
) -> None:
    """Score the predictions of another project with the same code as our own, under both protocols.

    Masks can have the size of the image or of the resized image. A sample without a mask scores 0. Missing and
    surplus samples are counted and listed: t2s sql "from prediction_rejects".
    """
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.steps.external.foreign_mask import MaskOptions
    from t2s_pipeline.steps.external.score import ForeignAnswers, score_foreign

    settings = Settings.from_env()
    options = MaskOptions(objects, min_score, threshold)
    foreign = ForeignAnswers(
        name, home_expanded(predictions), dataset, split, side, question, answers_as, options, tuple(override or ())
    )
    with recording_runner(settings) as runner:
        score_foreign(runner, foreign)
    print(f"""\nt2s leaderboard --dataset {dataset}; t2s sql "from prediction_rejects where system = '{name}'".""")
