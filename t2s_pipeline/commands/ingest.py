"""`t2s ingest`: read files into the tables of the lake."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.datasets.catalog import CustomReader


def ingest(
    name: Annotated[
        str,
        typer.Argument(help="A benchmark (t2s doctor lists them), custom, or a folder in EarthReason's layout."),
    ],
    root: Annotated[
        Path | None, typer.Option(help="The folder of the benchmark. It is stored for later commands.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="custom: the folder of images.")] = None,
    masks: Annotated[Path | None, typer.Option(help="custom: the folder of masks.")] = None,
    queries: Annotated[Path | None, typer.Option(help="custom: questions as .csv, .jsonl or .parquet.")] = None,
    coco: Annotated[Path | None, typer.Option(help="custom: a COCO JSON file, instead of masks and queries.")] = None,
    as_name: Annotated[str, typer.Option("--name", help="custom: a name for the dataset.")] = "custom",
    split: Annotated[str, typer.Option(help="custom: the split of samples that give none.")] = "test",
    only: Annotated[list[str] | None, typer.Option("--only", help="Read only this split. Can be repeated.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read files again even if they have not changed.")] = False,
) -> None:
    """Read a benchmark, or your own data, into the tables images, samples, selections and rejects.

    A file that cannot be used is set aside and listed with the reason: t2s sql "from rejects".

    t2s ingest rrsis-d --root /data/RRSIS-D

    t2s ingest custom --images DIR --masks DIR --queries questions.csv

    t2s ingest custom --images DIR --coco instances.json --name harbours
    """
    from t2s_pipeline.checks.table_checks import checks_of
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.datasets import catalog
    from t2s_pipeline.datasets.registry import CUSTOM
    from t2s_pipeline.steps.files import ReadTables

    settings = Settings.from_env()
    custom_options = {"--images": images, "--masks": masks, "--queries": queries, "--coco": coco}
    if name == CUSTOM:
        _refuse({"--root": root}, "is for benchmarks. Custom data needs --images")
        key = catalog.add_custom(settings, as_name, _reader(images, masks, queries, coco, split))
    else:
        _refuse(custom_options, "is for `t2s ingest custom`")
        key = _key(settings, name, root)
    dataset = catalog.find_dataset(settings, key)
    for name_of_split in only or ():
        if name_of_split not in dataset.splits:
            raise InputError(f"{key} has no split {name_of_split}. It has {', '.join(dataset.splits)}.")
    progress = StderrProgress()
    with recording_runner(settings, fresh, progress) as runner:
        for name_of_split in only or dataset.splits:
            for report in runner.run(ReadTables(key, name_of_split)):
                for check in checks_of(report.table):
                    outcome = check.on(settings.lake, report.partition)
                    if not outcome.passed:
                        progress.say(f"{report.table} of {key} {name_of_split}: {outcome.sentence}", warning=True)
    print(f"""\nt2s sql "from samples where dataset = '{key}'"; files that were set aside: t2s sql "from rejects".""")


def _key(settings: Settings, name: str, root: Path | None) -> str:
    """The key of a benchmark, whose folder is stored if it is given, or of the folder ``name``.

    Raises:
        InputError: if the folder is missing or not in its layout, or if ``root`` is given for a folder.
    """
    from t2s_pipeline.datasets import catalog
    from t2s_pipeline.datasets.registry import BENCHMARKS

    if name in BENCHMARKS:
        if root is not None:
            catalog.add_benchmark(settings, name, root)
        return name
    _refuse({"--root": root}, f"is for one of {', '.join(BENCHMARKS)}. {name} is read as a folder")
    return catalog.add_dataset(settings, Path(name))


def _refuse(options: dict[str, Path | None], reason: str) -> None:
    """Refuse options that do not belong to this kind of data.

    Args:
        options: the values by option; None where an option was not used.
        reason: the rest of the message, after the option.

    Raises:
        InputError: if one of them was used.
    """
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{option} {reason}.")


def _reader(
    images: Path | None, masks: Path | None, queries: Path | None, coco: Path | None, split: str
) -> "CustomReader":
    """The reader of custom data, with absolute paths.

    Raises:
        InputError: if the options belong to neither of the two kinds of custom data.
    """
    from t2s_pipeline.datasets.custom_coco import CustomCoco
    from t2s_pipeline.datasets.custom_table import CustomTable
    from t2s_pipeline.datasets.layout import SPLITS

    if split not in SPLITS:
        raise InputError(f"There is no split {split}. Choose one of {', '.join(SPLITS)}.")
    if images is not None and coco is not None and masks is None and queries is None:
        return CustomCoco(_absolute(images), _absolute(coco), split)
    if images is not None and masks is not None and queries is not None and coco is None:
        return CustomTable(_absolute(images), _absolute(masks), _absolute(queries), split)
    raise InputError("Custom data needs --images with --masks and --queries, or --images with --coco.")


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()
