"""Masks that another project predicted: a folder of PNG files, a COCO results file, or a Parquet table.

* **Folder:** ``<sample_id>.png``, or ``<sample_id>/<question index>.png`` where a sample has several questions. Every
  pixel that is not zero is target.
* **COCO results** (``.json``): a list of ``{"sample_id": …, "segmentation": …}``, or an object with such a list under
  ``annotations``. ``image_id`` is accepted in place of ``sample_id``. The entries of one sample are united. A
  segmentation is run lengths (plain or compressed) or polygons; ``null`` says that there is no target.
  ``question_index`` is optional.
* **Parquet:** columns ``sample_id``, ``mask`` (a struct of height, width, counts; null says that there is no target)
  and optionally ``question_index``.

Every entry is checked. An entry that cannot be read is returned with its reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.coco import CocoMask, read_json
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError, decode_label
from t2s_pipeline.vision.masks import RLE_TYPE, Rle

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class ForeignMask:
    """A predicted mask at the size that it has in the file. A ``mask`` of None says that there is no target."""

    source: str
    sample_id: str
    question_index: int | None
    mask: Rle | None


@dataclass(frozen=True)
class PredictionReject:
    """An entry that is not used, or a sample without an entry: a row of ``prediction_rejects``.

    ``reason`` is a short constant, ``detail`` a sentence.
    """

    source: str
    reason: str
    detail: str
    sample_id: str | None = None


def read_masks(path: Path, sizes: dict[str, Size]) -> Iterator[ForeignMask | PredictionReject]:
    """Every entry of the folder or file, in a fixed order.

    Args:
        path: a folder, a ``.json`` file or a ``.parquet`` file.
        sizes: native height and width of each sample of the split that is scored, by sample_id. Polygons are rendered
            at that size. The sample ids tell ``<sample_id>/<question index>.png`` from a sample id with a slash.

    Raises:
        InputError: if the path has none of these forms, or the file as a whole cannot be read.
    """
    if path.is_dir():
        return _folder(path, sizes)
    match path.suffix.lower():
        case ".json":
            return _coco(path, read_json(path), sizes)
        case ".parquet":
            return _parquet(path)
    raise InputError(f"{path} is not a folder of PNG files, a .json file or a .parquet file: give one of these.")


def _folder(folder: Path, sizes: dict[str, Size]) -> Iterator[ForeignMask | PredictionReject]:
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() == ".png" and not path.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder} holds no PNG file: give the folder of <sample_id>.png.")
    for file in files:
        relative = file.relative_to(folder)
        name, index = relative.with_suffix("").as_posix(), None
        parent = relative.parent.as_posix()
        if name not in sizes and parent in sizes and file.stem.isdecimal():
            name, index = parent, int(file.stem)
        try:
            yield ForeignMask(relative.as_posix(), name, index, masks.encode(decode_label(file.read_bytes())))
        except UnusableFileError as fault:
            yield PredictionReject(relative.as_posix(), fault.reason, fault.detail, name)


def _coco(path: Path, content: Any, sizes: dict[str, Size]) -> Iterator[ForeignMask | PredictionReject]:
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError(f"{path} holds no list of results: COCO results are [{{sample_id, segmentation}}, …].")
    by_question: dict[tuple[str, int | None], list[tuple[str, Any]]] = {}
    for place, entry in enumerate(entries):
        position = f"{path.name}#{place}"
        key = entry.get("sample_id", entry.get("image_id")) if isinstance(entry, dict) else None
        if not isinstance(key, str | int) or isinstance(key, bool) or "segmentation" not in entry:
            yield PredictionReject(position, "no_result", "expected an object with sample_id and segmentation")
            continue
        index = entry.get("question_index")
        if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
            yield PredictionReject(position, "no_result", f"question_index {index!r} is no whole number", str(key))
            continue
        by_question.setdefault((str(key), index), []).append((position, entry["segmentation"]))
    for (name, index), entries_of_question in by_question.items():
        position = entries_of_question[0][0]
        parts = [segmentation for _, segmentation in entries_of_question if segmentation is not None]
        if not parts:
            yield ForeignMask(position, name, index, None)
            continue
        height, width = _stated_size(parts) or sizes.get(name, (0, 0))
        if not height:
            yield PredictionReject(position, "surplus", f"the split has no sample {name}", name)
            continue
        try:
            yield ForeignMask(position, name, index, CocoMask(tuple(parts)).mask(width, height))
        except UnusableFileError as fault:
            yield PredictionReject(position, fault.reason, fault.detail, name)


def _stated_size(parts: list[Any]) -> Size | None:
    """The size that run lengths state; polygons state none."""
    for part in parts:
        size = part.get("size") if isinstance(part, dict) else None
        if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
            return size[0], size[1]
    return None


def _parquet(path: Path) -> Iterator[ForeignMask | PredictionReject]:
    try:
        table = pq.read_table(path)
        missing = {"sample_id", "mask"} - set(table.column_names)
        if missing:
            raise InputError(f"{path} has no column {', '.join(sorted(missing))}: give sample_id and mask.")
        columns = {"sample_id": table["sample_id"].cast(pa.string()), "mask": table["mask"].cast(RLE_TYPE)}
        if "question_index" in table.column_names:
            columns["question_index"] = table["question_index"].cast(pa.int32())
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read as sample_id (text) and mask (struct of height, width, counts): {reason}"
        ) from error
    for place, row in enumerate(pa.table(columns).to_pylist()):
        position = f"{path.name}#{place}"
        rle = None if row["mask"] is None else Rle.from_arrow(row["mask"])
        if row["sample_id"] is None or (rle is not None and None in (rle.height, rle.width, rle.counts)):
            yield PredictionReject(position, "no_result", "sample_id or a part of the mask is null", row["sample_id"])
            continue
        try:
            if rle is not None:
                masks.check(rle)
        except InputError as fault:
            yield PredictionReject(position, "invalid_mask", str(fault), row["sample_id"])
            continue
        yield ForeignMask(position, row["sample_id"], row.get("question_index"), rle)
