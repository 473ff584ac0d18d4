"""COCO's files and the three ways in which they draw a mask: run lengths, plain or compressed, and polygons.

Everything is proved sound before pycocotools sees it, because its C code trusts what it is given.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import MAX_PIXELS
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.masks import Rle

MAX_FILE_BYTES = 1024 * 1024 * 1024
MAX_PARTS = 10_000
MAX_OUTLINE = 1_000_000
"""Pixels of outline in one polygon: the decoder sets memory aside for each of them."""


@dataclass(frozen=True, eq=False)
class CocoMask:
    """What an annotation holds under ``segmentation``; several parts are united.

    ``annotations`` are the segmentations of several annotations, united as well. ``width`` and ``height`` are those
    of the image as the file states them, None where it does not.
    """

    annotations: tuple[Any, ...]
    width: int | None = None
    height: int | None = None

    def mask(self, width: int, height: int) -> Rle:
        stated = (self.width or width, self.height or height)
        if stated != (width, height):
            raise UnusableFileError("size_mismatch", f"annotated at {stated[0]}×{stated[1]}, image {width}×{height}")
        parts = [part for annotation in self.annotations for part in _parts(annotation)]
        if not parts or len(parts) > MAX_PARTS:
            raise UnusableFileError("invalid_mask", f"{len(parts)} parts where 1 to {MAX_PARTS:,} were expected")
        if width * height > MAX_PIXELS:
            raise UnusableFileError("too_many_pixels", f"{width}×{height} pixels")
        united = np.zeros((height, width), dtype=bool)
        for part in parts:
            united |= _drawn(part, width, height)
        return masks.encode(united)


def _parts(segmentation: Any) -> list[Any]:
    """Run lengths of one part, or a list of parts; a flat list of numbers is one polygon."""
    if isinstance(segmentation, dict):
        return [segmentation]
    if isinstance(segmentation, list):
        return [segmentation] if segmentation and _is_number(segmentation[0]) else segmentation
    raise UnusableFileError("invalid_mask", f"a {type(segmentation).__name__} where run lengths or polygons belong")


def _drawn(part: Any, width: int, height: int) -> np.ndarray:
    if isinstance(part, dict):
        return _run_lengths(part, width, height)
    if isinstance(part, list):
        return _polygon(part, width, height)
    raise UnusableFileError("invalid_mask", f"a {type(part).__name__} where run lengths or a polygon belong")


def _run_lengths(part: dict[str, Any], width: int, height: int) -> np.ndarray:
    size, counts = part.get("size"), part.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_is_whole(side) for side in size):
        raise UnusableFileError("invalid_mask", "run lengths without a size of two whole numbers")
    if size != [height, width]:
        raise UnusableFileError("size_mismatch", f"mask is {size[1]}×{size[0]}, image {width}×{height}")
    if isinstance(counts, list):
        if len(counts) > height * width + 1 or not all(_is_whole(run) and 0 <= run <= MAX_PIXELS for run in counts):
            raise UnusableFileError("invalid_mask", "run lengths that are no whole numbers of pixels")
        if sum(counts) != height * width:
            raise UnusableFileError("invalid_mask", f"runs cover {sum(counts)} pixels, not {height}×{width}")
        return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape((width, height)).T
    if not isinstance(counts, str):
        raise UnusableFileError("invalid_mask", "run lengths without counts")
    try:
        return masks.decode(Rle(height, width, counts))
    except InputError as error:
        raise UnusableFileError("invalid_mask", str(error)) from error


def _polygon(outline: list[Any], width: int, height: int) -> np.ndarray:
    """x, y, x, y … in pixels, at least three corners."""
    if len(outline) < 6 or len(outline) % 2 or not all(_is_number(number) for number in outline):
        raise UnusableFileError("invalid_mask", "a polygon is x, y, x, y, … of at least three corners")
    corners = np.array([float(number) for number in outline]).reshape(-1, 2)
    reach = np.array([width, height])
    # Annotation tools overshoot the border; nothing honest lies an image's width away.
    if not np.isfinite(corners).all() or (corners < -reach).any() or (corners > 2 * reach).any():
        raise UnusableFileError("invalid_mask", "a polygon's corner lies far outside the image")
    length = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()
    if length > MAX_OUTLINE:
        raise UnusableFileError("invalid_mask", f"a polygon's outline is {length:.0f} pixels long")
    (rle,) = coco.frPyObjects([corners.ravel().tolist()], height, width)
    return masks.decode(Rle(height, width, rle["counts"].decode("ascii")))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class CocoFile:
    """A file's images, annotations and categories, by id. What has no usable id is left in ``strays``."""

    images: dict[int | str, dict[str, Any]]
    annotations: dict[int | str, dict[str, Any]]
    categories: dict[int | str, str]
    strays: list[tuple[str, str]]
    """(place in the file, what is wrong with it)"""

    def category(self, category_id: Any) -> str | None:
        """The name of a category, where there is one."""
        return self.categories.get(category_id) if isinstance(category_id, int | str) else None


def read_coco(path: Path) -> CocoFile:
    """The file, each entry proved to be an object with an id.

    Raises:
        InputError: if it is missing, too large, no JSON, or has no list of images or annotations.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: a COCO file is an object.")
    strays: list[tuple[str, str]] = []

    def by_id(key: str) -> dict[int | str, dict[str, Any]]:
        entries = content.get(key)
        if not isinstance(entries, list):
            raise InputError(f"{path} has no list {key!r}: a COCO file has images, annotations and categories.")
        found: dict[int | str, dict[str, Any]] = {}
        for place, entry in enumerate(entries):
            where = f"{path.name}#{key}[{place}]"
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str):
                strays.append((where, "no object with an id"))
            elif entry["id"] in found:
                strays.append((where, f"the id {entry['id']} came before"))
            else:
                found[entry["id"]] = entry
        return found

    images, annotations = by_id("images"), by_id("annotations")
    named = by_id("categories") if "categories" in content else {}
    categories = {key: entry["name"] for key, entry in named.items() if isinstance(entry.get("name"), str)}
    return CocoFile(images, annotations, categories, strays)


def read_json(path: Path) -> Any:
    """Raises InputError if the file is missing, too large, or no JSON."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path} has more than {MAX_FILE_BYTES // 2**20} MB: split it into several files.")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}): fetch it again.") from error


def stated_size(image: dict[str, Any]) -> tuple[int | None, int | None]:
    """Width and height of an entry of ``images``, None for what it does not state as a whole number."""
    width, height = (image.get(key) for key in ("width", "height"))
    return (width if _is_whole(width) else None), (height if _is_whole(height) else None)
