"""Masks that another project predicted: a folder of PNG files, a COCO results file, or a Parquet table.

* **Folder:** ``<sample_id>.png``, or ``<sample_id>/<question index>.png`` where a sample has several questions. Every
  pixel that is not zero is target.
* **COCO results** (``.json``): a list of ``{"sample_id": …, "segmentation": …}``, or an object with such a list under
  ``annotations``. ``image_id`` may stand for ``sample_id``; entries of one sample are united; a segmentation is run
  lengths (plain or compressed) or polygons, ``null`` says that there is no target. ``question_index`` is optional.
* **Parquet:** columns ``sample_id``, ``mask`` (a struct of height, width, counts; null says that there is no target)
  and, if need be, ``question_index``.

Nothing is trusted: what cannot be read is given back with its reason.
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
    """A predicted mask, at whatever size it came; None says that there is no target."""

    source: str
    sample_id: str
    question_index: int | None
    mask: Rle | None


@dataclass(frozen=True)
class PredictionReject:
    """What could not be taken in, and why: ``reason`` is a short constant."""

    source: str
    reason: str
    detail: str
    sample_id: str | None = None


def read_masks(path: Path, sizes: dict[str, Size]) -> Iterator[ForeignMask | PredictionReject]:
    """Everything in the folder or file, in a fixed order.

    Args:
        sizes: of the samples of the split that is scored, by sample_id: native height and width. Polygons are drawn
            at that size, and names are read with the help of it.

    Raises:
        InputError: if there is nothing of the kind, or the file as a whole cannot be read.
    """
    if path.is_dir():
        return _folder(path, sizes)
    match path.suffix.lower():
        case ".json":
            return _coco(path, read_json(path), sizes)
        case ".parquet":
            return _parquet(path)
    raise InputError(f"{path} is no folder of PNG files, no .json and no .parquet: give one of these.")


def _folder(folder: Path, sizes: dict[str, Size]) -> Iterator[ForeignMask | PredictionReject]:
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() == ".png" and not path.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder} holds no PNG file: give the folder of <sample_id>.png.")
    for file in files:
        place = file.relative_to(folder)
        name, index = place.with_suffix("").as_posix(), None
        parent = place.parent.as_posix()
        if name not in sizes and parent in sizes and file.stem.isdecimal():
            name, index = parent, int(file.stem)
        try:
            yield ForeignMask(place.as_posix(), name, index, masks.encode(decode_label(file.read_bytes())))
        except UnusableFileError as fault:
            yield PredictionReject(place.as_posix(), fault.reason, fault.detail, name)


def _coco(path: Path, content: Any, sizes: dict[str, Size]) -> Iterator[ForeignMask | PredictionReject]:
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError(f"{path} holds no list of results: COCO results are [{{sample_id, segmentation}}, …].")
    united: dict[tuple[str, int | None], list[tuple[str, Any]]] = {}
    for place, entry in enumerate(entries):
        where = f"{path.name}#{place}"
        key = entry.get("sample_id", entry.get("image_id")) if isinstance(entry, dict) else None
        if not isinstance(key, str | int) or isinstance(key, bool) or "segmentation" not in entry:
            yield PredictionReject(where, "no_result", "expected an object with sample_id and segmentation")
            continue
        index = entry.get("question_index")
        if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
            yield PredictionReject(where, "no_result", f"question_index {index!r} is no whole number", str(key))
            continue
        united.setdefault((str(key), index), []).append((where, entry["segmentation"]))
    for (name, index), parts in united.items():
        where = parts[0][0]
        drawn = [segmentation for _, segmentation in parts if segmentation is not None]
        if not drawn:
            yield ForeignMask(where, name, index, None)
            continue
        height, width = _stated(drawn) or sizes.get(name, (0, 0))
        if not height:
            yield PredictionReject(where, "surplus", f"the split has no sample {name}", name)
            continue
        try:
            yield ForeignMask(where, name, index, CocoMask(tuple(drawn)).mask(width, height))
        except UnusableFileError as fault:
            yield PredictionReject(where, fault.reason, fault.detail, name)


def _stated(parts: list[Any]) -> Size | None:
    """The size that run lengths carry; polygons carry none."""
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
        found = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read as sample_id (text) and mask (struct of height, width, counts): {found}"
        ) from error
    for place, row in enumerate(pa.table(columns).to_pylist()):
        where = f"{path.name}#{place}"
        rle = None if row["mask"] is None else Rle.from_arrow(row["mask"])
        if row["sample_id"] is None or (rle is not None and None in (rle.height, rle.width, rle.counts)):
            yield PredictionReject(where, "no_result", "sample_id or a part of the mask is null", row["sample_id"])
            continue
        try:
            if rle is not None:
                masks.check(rle)
        except InputError as fault:
            yield PredictionReject(where, "invalid_mask", str(fault), row["sample_id"])
            continue
        yield ForeignMask(where, row["sample_id"], row.get("question_index"), rle)
