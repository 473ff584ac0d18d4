"""Masks as entries of a file: COCO results (``.json``) and Parquet tables, read by the same rules.

The entries of one answer are united in a JSON file, where each can be an instance. In a Parquet table, an answer has
one row. Scored entries, as a detector writes them, count from ``MaskOptions.min_score`` on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import open_outside, shown
from t2s_pipeline.datasets.coco import CocoMask
from t2s_pipeline.datasets.query_files import BATCH, MAX_ROWS
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, MaskOptions, PredictionReject, Size
from t2s_pipeline.steps.external.orientation import are_in_row_order, in_row_order, with_sides_exchanged
from t2s_pipeline.steps.external.run_length_forms import coco_form
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError

MIN_SCORE = 0.5
"""The score from which a detection counts, if none is given."""

ENLARGED = 16
"""A mask may state so many times as many pixels as its image has."""
FREE_PIXELS = 2048 * 2048
"""A mask of this size is allowed for an image of any size: models answer at a size of their own."""

EXCHANGED = "the size is written as width, height: read with exchanged sides"
ROW_ORDER = "the run lengths of the file count row by row: read so"
_TABLE_COLUMNS = ("sample_id", "mask")


@dataclass(frozen=True)
class MaskEntry:
    """An entry as it lies in the file: which sample and question it answers, its segmentation and its score."""

    source: str
    sample_id: str
    question_index: int | None
    segmentation: Any
    score: float | None


def json_entries(path: Path, content: Any) -> Iterator[MaskEntry | PredictionReject]:
    """The entries of COCO results.

    Raises:
        InputError: if the file holds no list of results.
    """
    results = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(results, list):
        raise InputError(f"{path} holds no list of results: COCO results are [{{sample_id, segmentation}}, …].")
    for place, result in enumerate(results):
        yield _entry(f"{path.name}#{place}", result, "segmentation")


def table_entries(path: Path) -> Iterator[MaskEntry | PredictionReject]:
    """The rows of a Parquet table.

    Raises:
        InputError: if the file cannot be read, or lacks a column.
    """
    try:
        with open_outside(path) as stream, pq.ParquetFile(stream) as file:
            names = file.schema_arrow.names
            missing = set(_TABLE_COLUMNS) - set(names)
            if missing:
                raise InputError(f"{path} has no column {', '.join(sorted(missing))}: give sample_id and mask.")
            if file.metadata.num_rows > MAX_ROWS:
                raise InputError(f"{path} states {file.metadata.num_rows:,} rows; {MAX_ROWS:,} are allowed: split it.")
            columns = [*_TABLE_COLUMNS, *(name for name in ("question_index", "score") if name in names)]
            place = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                for row in batch.to_pylist():
                    yield _entry(f"{path.name}#{place}", row, "mask")
                    place += 1
    except (pa.ArrowException, UnicodeDecodeError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a Parquet file: {' '.join(str(error).split())}") from error


def _entry(source: str, fields: Any, segmentation: str) -> MaskEntry | PredictionReject:
    key = fields.get("sample_id", fields.get("image_id")) if isinstance(fields, dict) else None
    if not isinstance(key, str | int) or isinstance(key, bool):
        return PredictionReject(source, "no_result", f"expected sample_id and {segmentation}")
    if segmentation not in fields:
        reason = "a box without a segmentation" if "bbox" in fields else f"no {segmentation}"
        return PredictionReject(source, "no_result", f"it has {reason}", str(key))
    index, score = fields.get("question_index"), fields.get("score")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        return PredictionReject(source, "no_result", f"question_index {shown(index)} is no whole number", str(key))
    is_number = isinstance(score, int | float) and not isinstance(score, bool)
    return MaskEntry(source, str(key), index, fields[segmentation], float(score) if is_number else None)


def masks_of(
    entries: Iterable[MaskEntry | PredictionReject], sizes: dict[str, Size], options: MaskOptions, unite: bool
) -> Iterator[ForeignMask | PredictionReject]:
    """The masks of the entries, one per answer where ``unite`` is true, else one per entry.

    Args:
        entries: of one file.
        sizes: native height and width of each sample, by sample_id.
        options: what decides where the file alone does not.
        unite: whether the entries of one answer are parts of its mask.

    Raises:
        InputError: if scores decide and are no shares of 1.
    """
    readable: list[MaskEntry] = []
    for entry in entries:
        if isinstance(entry, PredictionReject):
            yield entry
        else:
            readable.append(entry)
    min_score = _min_score(readable, options) if unite else options.min_score
    answers: dict[tuple[object, ...], list[MaskEntry]] = {}
    for place, entry in enumerate(readable):
        key = (entry.sample_id, entry.question_index, None if unite else place)
        answers.setdefault(key, [])
        if min_score is not None and entry.score is not None and entry.score < min_score:
            detail = f"its score {entry.score:g} is below {min_score:g} (--min-score)"
            yield PredictionReject(entry.source, "low_score", detail, entry.sample_id)
            answers[key].append(replace(entry, segmentation=None))
        else:
            answers[key].append(entry)
    read = [_mask(parts, sizes) for parts in answers.values()]
    yield from _in_order_of_file(read)


def _min_score(entries: list[MaskEntry], options: MaskOptions) -> float | None:
    """The score from which entries count; None if scores do not count.

    Raises:
        InputError: if scores count and are no shares of 1.
    """
    if options.min_score is not None:
        return options.min_score
    scored = [entry for entry in entries if entry.score is not None]
    answers = {(entry.sample_id, entry.question_index) for entry in scored}
    if len(answers) == len(scored):
        return None
    scores = [entry.score for entry in scored if entry.score is not None]
    if min(scores) < 0 or max(scores) > 1:
        raise InputError(
            f"Several entries answer the same question, with scores from {min(scores):g} to {max(scores):g}: give "
            "--min-score, the score from which an entry counts."
        )
    return MIN_SCORE


def _mask(parts: list[MaskEntry], sizes: dict[str, Size]) -> ForeignMask | PredictionReject:
    """The union of the entries of one answer; None without a segmentation."""
    first = parts[0]
    try:
        forms = [coco_form(part.segmentation) for part in parts if part.segmentation is not None]
        if not forms:
            return ForeignMask(first.source, first.sample_id, first.question_index, None)
        native = sizes.get(first.sample_id)
        if native is None:  # before anything is decoded: a short text can state a hundred million pixels
            detail = f"the split has no sample {shown(first.sample_id)}"
            return PredictionReject(first.source, "surplus", detail, first.sample_id)
        size = _stated_size(forms) or native
        _require_fitting(size, native)
        rle = CocoMask(tuple(forms)).mask(width=size[1], height=size[0])
    except UnusableFileError as fault:
        return PredictionReject(first.source, fault.reason, fault.detail, first.sample_id)
    mask = ForeignMask(first.source, first.sample_id, first.question_index, rle)
    if size == native or size != native[::-1]:
        return mask
    pixels = with_sides_exchanged(masks.decode(rle))
    if pixels is None:
        detail = (
            f"its size is {size[0]}×{size[1]}, that of the image {native[0]}×{native[1]}: height and width exchanged?"
        )
        return PredictionReject(first.source, "sides_exchanged", detail, first.sample_id)
    return replace(mask, mask=masks.encode(pixels), note=EXCHANGED)


def _require_fitting(size: Size, native: Size) -> None:
    """Refuse a size that no answer to an image of the native size has.

    Raises:
        UnusableFileError: reason ``too_many_pixels``.
    """
    if size[0] * size[1] > max(ENLARGED * native[0] * native[1], FREE_PIXELS):
        detail = f"{size[1]}×{size[0]} pixels, for an image of {native[1]}×{native[0]}"
        raise UnusableFileError("too_many_pixels", detail)


def _stated_size(forms: list[Any]) -> Size | None:
    """The size that run lengths state; polygons state none."""
    for form in forms:
        size = form.get("size") if isinstance(form, dict) else None
        if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
            return size[0], size[1]
    return None


def _in_order_of_file(read: list[ForeignMask | PredictionReject]) -> Iterator[ForeignMask | PredictionReject]:
    """The masks, read row by row if the file counts so. Masks with exchanged sides decide nothing here."""
    plain = [one.mask for one in read if isinstance(one, ForeignMask) and one.mask is not None and one.note is None]
    if not are_in_row_order(masks.decode(mask) for mask in plain):
        yield from read
        return
    for one in read:
        if isinstance(one, ForeignMask) and one.mask is not None and one.note is None:
            pixels = in_row_order(masks.decode(one.mask))
            yield replace(one, mask=masks.encode(pixels), note=ROW_ORDER)
        else:
            yield one
