"""Which reader reads your own data, by the options of `t2s ingest custom`."""

from dataclasses import dataclass, fields
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.datasets.catalog import CustomReader
from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.custom_vectors import PER, CustomVectors
from t2s_pipeline.datasets.layout import SPLITS, split_of
from t2s_pipeline.datasets.reading_options import ReadingOptions

Values = dict[str, "Path | str | int | float | None"]
"""The values of options by their names; None where an option was not used."""


def _by_option(options: object) -> Values:
    names = [field.name for field in fields(options)]  # type: ignore[arg-type]
    return {f"--{name.replace('_', '-')}": getattr(options, name) for name in names}


@dataclass(frozen=True)
class CustomFiles:
    """The options that name files; None where an option was not used."""

    images: Path | None = None
    masks: Path | None = None
    queries: Path | None = None
    coco: Path | None = None
    vectors: Path | None = None

    @property
    def options(self) -> Values:
        """The values by option."""
        return _by_option(self)


@dataclass(frozen=True)
class MapOptions:
    """The options that belong to ``--vectors``; None where an option was not used."""

    question_field: str | None = None
    layer: str | None = None
    per: str | None = None
    chip: int | None = None
    overlap: int | None = None

    @property
    def options(self) -> Values:
        """The values by option."""
        return _by_option(self)


def refuse(options: Values, reason: str) -> None:
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


def custom_reader(files: CustomFiles, split: str, options: ReadingOptions, of_map: MapOptions) -> CustomReader:
    """The reader of custom data, with absolute paths.

    Raises:
        InputError: if the options belong to none of the three kinds of custom data.
    """
    own_split = split_of(split)
    if own_split is None:
        raise InputError(f"There is no split {split}. Choose one of {', '.join(SPLITS)}.")
    named = {name: _absolute(path) for name, path in vars(files).items() if path is not None}
    if named.keys() != {"images", "vectors"}:
        refuse(of_map.options, "is for --images with --vectors")
    if named.keys() == {"images", "coco"}:
        refuse(
            {"--encoding": options.encoding}, "is for --queries: a JSON file is UTF-8, or names its encoding by a mark"
        )
        return CustomCoco(named["images"], named["coco"], own_split, options.rules)
    if named.keys() == {"images", "masks", "queries"}:
        paths = named["images"], named["masks"], named["queries"]
        return CustomTable(*paths, own_split, options.named_encoding, options.rules)
    if named.keys() == {"images", "vectors"}:
        return _vectors(named["images"], named["vectors"], own_split, options, of_map)
    raise InputError(
        "Custom data needs --images with --masks and --queries, or --images with --coco, or --images with --vectors."
    )


def _vectors(images: Path, vectors: Path, split: str, options: ReadingOptions, of_map: MapOptions) -> CustomVectors:
    if of_map.question_field is None:
        raise InputError("--vectors needs --question-field: name the field that holds the question or the class.")
    mask_options = {"--mask-value": options.mask_value, "--threshold": options.threshold}
    refuse({**mask_options, "--invert-mask": options.invert_mask or None}, "is for masks, and --vectors are polygons")
    return CustomVectors(
        images,
        vectors,
        of_map.question_field,
        split,
        of_map.layer or "",
        of_map.per or PER[0],
        of_map.chip or 0,
        of_map.overlap or 0,
        options.named_encoding,
        options.rules,
    )


def _absolute(path: Path) -> Path:
    return home_expanded(path).resolve()
