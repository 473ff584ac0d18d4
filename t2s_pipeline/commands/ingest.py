"""`t2s ingest`: read files into the tables of the lake."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.datasets.catalog import CustomReader
    from t2s_pipeline.datasets.reading_options import ReadingOptions


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
    bands: Annotated[
        str | None, typer.Option(help="Own data: the bands that are red, green, blue, e.g. 4,3,2; or the one shown.")
    ] = None,
    mask_value: Annotated[
        str | None, typer.Option(help="Own data: the mask value, or the colour R,G,B, that is the target.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Own data: mask values above it are the target.")] = None,
    invert_mask: Annotated[bool, typer.Option("--invert-mask", help="Own data: the target is the rest.")] = False,
    encoding: Annotated[
        str | None, typer.Option(help="custom: the encoding of --queries, e.g. cp1252, if it is not UTF-8.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read files again even if they have not changed.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Replace a split also by far fewer samples from the same folder.")
    ] = False,
) -> None:
    """Read a benchmark, or your own data, into the tables images, samples, selections, rejects and notes.

    A file that cannot be used is set aside and listed with the reason: t2s sql "from rejects". What is unusual about a
    file that is used, and how it was read, is listed too: t2s sql "from notes".

    t2s ingest rrsis-d --root /data/RRSIS-D

    t2s ingest custom --images DIR --masks DIR --queries questions.csv

    t2s ingest custom --images DIR --coco instances.json --name harbours
    """
    from t2s_pipeline.datasets import catalog
    from t2s_pipeline.datasets.reading_options import ReadingOptions
    from t2s_pipeline.datasets.registry import CUSTOM

    settings = Settings.from_env()
    custom_options = {"--images": images, "--masks": masks, "--queries": queries, "--coco": coco}
    options = ReadingOptions(bands, mask_value, threshold, invert_mask, encoding)
    if name == CUSTOM:
        _refuse({"--root": root}, "is for benchmarks. Custom data needs --images")
        key = catalog.add_custom(settings, as_name, _reader(images, masks, queries, coco, split, options))
    else:
        _refuse({**custom_options, "--encoding": encoding}, "is for `t2s ingest custom`")
        key = _key(settings, name, root, options)
    _read(settings, key, only, fresh, accept_loss)
    print(f"""\nt2s sql "from samples where dataset = '{key}'"; set aside: "from rejects"; unusual: "from notes".""")


def _read(settings: Settings, key: str, only: list[str] | None, fresh: bool, accept_loss: bool) -> None:
    """Read the splits of a dataset, or ``only`` some of them, and say what their checks find.

    Raises:
        InputError: if the dataset has no split of a name in ``only``, or a split has no sample that can be used.
    """
    from t2s_pipeline.checks.table_checks import checks_of
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.datasets.catalog import find_dataset
    from t2s_pipeline.lake.schema import SAMPLES
    from t2s_pipeline.steps.files import ReadTables

    splits = find_dataset(settings, key).splits
    for split in only or ():
        if split not in splits:
            raise InputError(f"{key} has no split {split}. It has {', '.join(splits)}.")
    progress = StderrProgress()
    empty = []
    with recording_runner(settings, fresh, progress) as runner:
        for split in only or splits:
            for report in runner.run(ReadTables(key, split, accept_loss)):
                for check in checks_of(report.table):
                    outcome = check.on(settings.lake, report.partition)
                    if not outcome.passed:
                        progress.say(f"{report.table} of {key} {split}: {outcome.sentence}", warning=True)
                if report.table == SAMPLES.name and not report.rows:
                    empty.append(split)
    if empty:
        raise InputError(
            f"No sample of {key} {', '.join(empty)} could be read: "
            f"""t2s sql "from rejects where dataset = '{key}'" gives the reasons."""
        )


def _key(settings: Settings, name: str, root: Path | None, options: "ReadingOptions") -> str:
    """The key of a benchmark, whose folder is stored if it is given, or of the folder ``name``.

    Raises:
        InputError: if the folder is missing or not in its layout, if ``root`` is given for a folder, or if rules
            for pixels are given for a benchmark, whose files are read as they were published.
    """
    from t2s_pipeline.datasets import catalog
    from t2s_pipeline.datasets.registry import BENCHMARKS

    if name in BENCHMARKS:
        if options.rules.settings:
            option = f"--{next(iter(options.rules.settings)).replace('_', '-')}"
            raise InputError(f"{option} is for your own data: {name} is read as its authors publish it.")
        if root is not None:
            catalog.add_benchmark(settings, name, root)
        return name
    _refuse({"--root": root}, f"is for one of {', '.join(BENCHMARKS)}. {name} is read as a folder")
    return catalog.add_dataset(settings, Path(name), options.rules)


def _refuse(options: Mapping[str, Path | str | None], reason: str) -> None:
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
    images: Path | None,
    masks: Path | None,
    queries: Path | None,
    coco: Path | None,
    split: str,
    options: "ReadingOptions",
) -> "CustomReader":
    """The reader of custom data, with absolute paths.

    Raises:
        InputError: if the options belong to neither of the two kinds of custom data.
    """
    from t2s_pipeline.datasets.custom_coco import CustomCoco
    from t2s_pipeline.datasets.custom_table import CustomTable
    from t2s_pipeline.datasets.layout import SPLITS, split_of

    own_split = split_of(split)
    if own_split is None:
        raise InputError(f"There is no split {split}. Choose one of {', '.join(SPLITS)}.")
    if images is not None and coco is not None and masks is None and queries is None:
        _refuse(
            {"--encoding": options.encoding}, "is for --queries: a JSON file is UTF-8, or names its encoding by a mark"
        )
        return CustomCoco(_absolute(images), _absolute(coco), own_split, options.rules)
    if images is not None and masks is not None and queries is not None and coco is None:
        named = options.named_encoding
        return CustomTable(_absolute(images), _absolute(masks), _absolute(queries), own_split, named, options.rules)
    raise InputError("Custom data needs --images with --masks and --queries, or --images with --coco.")


def _absolute(path: Path) -> Path:
    return home_expanded(path).resolve()
