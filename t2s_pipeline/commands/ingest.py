"""`t2s ingest`: files become a dataset of the lake."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings


def ingest(
    name: Annotated[
        str,
        typer.Argument(help="earthreason, rrsis-d, risbench, refsegrs, custom, or a folder in EarthReason's layout."),
    ],
    root: Annotated[Path | None, typer.Option(help="The benchmark's folder; remembered.")] = None,
    images: Annotated[Path | None, typer.Option(help="custom: the folder of images.")] = None,
    masks: Annotated[Path | None, typer.Option(help="custom: the folder of masks.")] = None,
    queries: Annotated[Path | None, typer.Option(help="custom: questions as .csv, .jsonl or .parquet.")] = None,
    coco: Annotated[Path | None, typer.Option(help="custom: a COCO JSON file, in place of masks and queries.")] = None,
    as_name: Annotated[str, typer.Option("--name", help="custom: what the dataset is called.")] = "custom",
    split: Annotated[str, typer.Option(help="custom: the split of what states none.")] = "test",
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this split; may be repeated.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read again what has not changed.")] = False,
) -> None:
    """Read a benchmark, or data of your own, into images, samples, selections and rejects.

    A file that cannot be used is set aside with its reason, never skipped in silence: t2s sql "from rejects".

    t2s ingest rrsis-d --root /data/RRSIS-D

    t2s ingest custom --images DIR --masks DIR --queries questions.csv

    t2s ingest custom --images DIR --coco instances.json --name harbours
    """
    from t2s_pipeline.checks.table_checks import checks_of
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.datasets import catalog
    from t2s_pipeline.datasets.registry import BENCHMARKS, CUSTOM
    from t2s_pipeline.steps.files import Tables
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.worker.launcher import plain_launch

    settings = Settings.from_env()
    own = {"--images": images, "--masks": masks, "--queries": queries, "--coco": coco}
    if name == CUSTOM:
        _refuse("is for benchmarks: custom data has --images", {"--root": root})
        key = catalog.add_custom(settings, as_name, _reader(images, masks, queries, coco, split))
    else:
        _refuse("is for `t2s ingest custom`", own)
        if name in BENCHMARKS:
            key = name
            if root is not None:
                catalog.add_benchmark(settings, key, root)
        else:
            _refuse(f"is for one of {', '.join(BENCHMARKS)}; {name} is taken as a folder", {"--root": root})
            key = catalog.add_dataset(settings, Path(name))
    dataset = catalog.find_dataset(settings, key)
    there = dataset.splits
    for wanted in only or ():
        if wanted not in there:
            raise InputError(f"{key} has no split {wanted}; it has {', '.join(there)}.")
    progress = StderrProgress()
    runner = Runner(settings, plain_launch(settings), fresh=fresh, progress=progress)
    for each in only or there:
        for report in runner.run(Tables(key, each)):
            for check in checks_of(report.table):
                found = check.on(settings.lake, report.partition)
                if not found.passed:
                    progress.say(f"{report.table} of {key} {each}: {found.sentence}", warning=True)
    print(f"""\nt2s sql "from samples where dataset = '{key}'"; what was set aside: t2s sql "from rejects".""")


def _refuse(why: str, options: dict[str, Path | None]) -> None:
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{option} {why}.")


def _reader(images: Path | None, masks: Path | None, queries: Path | None, coco: Path | None, split: str):
    """The reader of custom data, its paths made absolute.

    Raises:
        InputError: if the options do not make one of the two kinds.
    """
    from t2s_pipeline.datasets.custom_coco import CustomCoco
    from t2s_pipeline.datasets.custom_table import CustomTable
    from t2s_pipeline.datasets.layout import SPLITS

    if split not in SPLITS:
        raise InputError(f"There is no split {split}: choose one of {', '.join(SPLITS)}.")
    if images is not None and coco is not None and masks is None and queries is None:
        return CustomCoco(images.expanduser().resolve(), coco.expanduser().resolve(), split)
    if images is not None and masks is not None and queries is not None and coco is None:
        return CustomTable(*(path.expanduser().resolve() for path in (images, masks, queries)), split)
    raise InputError("Custom data needs --images with --masks and --queries, or --images with --coco.")
