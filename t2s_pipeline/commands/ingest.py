"""`t2s ingest`: read files into the tables of the lake."""

from pathlib import Path
from typing import TYPE_CHECKING

from t2s_pipeline.commands.ingest_options import (
    AcceptLoss,
    BandNumbers,
    ChipOverlap,
    ChipSide,
    CocoJson,
    DatasetName,
    Fresh,
    ImagesFolder,
    InvertMask,
    LayerName,
    MasksFolder,
    MaskThreshold,
    MaskValue,
    OnlySplits,
    OwnName,
    OwnSplit,
    QueriesFile,
    QuestionField,
    RootFolder,
    SamplePer,
    TextEncoding,
    VectorsFile,
)
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.datasets.reading_options import ReadingOptions


def ingest(
    name: DatasetName,
    root: RootFolder = None,
    images: ImagesFolder = None,
    masks: MasksFolder = None,
    queries: QueriesFile = None,
    coco: CocoJson = None,
    vectors: VectorsFile = None,
    question_field: QuestionField = None,
    layer: LayerName = None,
    per: SamplePer = None,
    chip: ChipSide = None,
    overlap: ChipOverlap = None,
    as_name: OwnName = "custom",
    split: OwnSplit = "test",
    only: OnlySplits = None,
    bands: BandNumbers = None,
    mask_value: MaskValue = None,
    threshold: MaskThreshold = None,
    invert_mask: InvertMask = False,
    encoding: TextEncoding = None,
    fresh: Fresh = False,
    accept_loss: AcceptLoss = False,
) -> None:
    """Read a benchmark, or your own data, into the tables images, samples, selections, rejects and notes.

    A file that cannot be used is set aside and listed with the reason: t2s sql "from rejects". What is unusual about a
    file that is used, and how it was read, is listed too: t2s sql "from notes".

    t2s ingest rrsis-d --root /data/RRSIS-D

    t2s ingest custom --images DIR --masks DIR --queries questions.csv

    t2s ingest custom --images DIR --coco instances.json --name harbours

    t2s ingest custom --images DIR --vectors labels.gpkg --question-field class --chip 840 --overlap 64
    """
    from t2s_pipeline.datasets import catalog
    from t2s_pipeline.datasets.custom_options import CustomFiles, MapOptions, custom_reader, refuse
    from t2s_pipeline.datasets.reading_options import ReadingOptions
    from t2s_pipeline.datasets.registry import CUSTOM

    settings = Settings.from_env()
    files = CustomFiles(images, masks, queries, coco, vectors)
    map_options = MapOptions(question_field, layer, per, chip, overlap)
    options = ReadingOptions(bands, mask_value, threshold, invert_mask, encoding)
    if name == CUSTOM:
        refuse({"--root": root}, "is for benchmarks. Custom data needs --images")
        key = catalog.add_custom(settings, as_name, custom_reader(files, split, options, map_options))
    else:
        refuse({**files.options, **map_options.options, "--encoding": encoding}, "is for `t2s ingest custom`")
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
    from t2s_pipeline.datasets.custom_options import refuse
    from t2s_pipeline.datasets.registry import BENCHMARKS

    if name in BENCHMARKS:
        if options.rules.settings:
            option = f"--{next(iter(options.rules.settings)).replace('_', '-')}"
            raise InputError(f"{option} is for your own data: {name} is read as its authors publish it.")
        if root is not None:
            catalog.add_benchmark(settings, name, root)
        return name
    refuse({"--root": root}, f"is for one of {', '.join(BENCHMARKS)}. {name} is read as a folder")
    return catalog.add_dataset(settings, Path(name), options.rules)
