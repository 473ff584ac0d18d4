"""`t2s judge`: measure the masks that the frozen segmenter makes of the pseudo-labels."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def judge(
    dataset: Annotated[str, typer.Option(help="The dataset, as `t2s doctor` names it.")] = "synthetic",
    split: Annotated[str, typer.Option(help="The split: train, val or test.")] = "test",
    segmenter: Annotated[
        str, typer.Option(help="The segmenter: a name that `t2s models` lists, or a file.")
    ] = "sam2-mini",
    wide: Annotated[
        bool,
        typer.Option("--wide", help="Also judge rotated boxes, chains of points, and the best kind per object."),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
) -> None:
    """Segment with the labels of a split as prompts: the best result that learning from the labels allows.

    The labels must have been made: t2s label --dataset DATASET --split SPLIT.
    """
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.steps.labels import Judge
    from t2s_pipeline.training.model_names import segmenter_name

    settings = Settings.from_env()
    settings.require_worker()
    with recording_runner(settings, fresh) as runner:
        runner.run(Judge(segmenter_name(segmenter), dataset, split, wide))
    print(f"""\nt2s sql "from label_ceiling where dataset = '{dataset}'".""")
