"""COCO files, and the three forms of a mask in them: plain run lengths, compressed run lengths, and polygons.

Everything is checked before it is given to pycocotools, because its C code does not check its input.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import bounded_json, outside_bytes
from t2s_pipeline.datasets.text_files import text_of
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import MAX_PIXELS
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.masks import Rle

MAX_FILE_BYTES = 1024 * 1024 * 1024
MAX_PARTS = 10_000
MAX_OUTLINE = 1_000_000
"""The longest outline of a polygon in pixels: the decoder reserves memory for each of them."""


@dataclass(frozen=True, eq=False)
class CocoMask:
    """What annotations hold under ``segmentation``. The mask is the union of all their parts.

    ``width`` and ``height`` are those of the image as the file states them; None if it does not state them.
    """

    annotations: tuple[Any, ...]
    width: int | None = None
    height: int | None = None

    def mask(self, width: int, height: int) -> Rle:
        """The union of all parts, for an image of that size in pixels.

        Raises:
            UnusableFileError: if a part is not a valid mask of that size.
        """
        stated = (self.width or width, self.height or height)
        if stated != (width, height):
            raise UnusableFileError("size_mismatch", f"annotated at {stated[0]}×{stated[1]}, image {width}×{height}")
        parts = [part for annotation in self.annotations for part in _parts(annotation)]
        if not parts or len(parts) > MAX_PARTS:
            raise UnusableFileError("invalid_mask", f"{len(parts)} parts; 1 to {MAX_PARTS:,} are allowed")
        if width * height > MAX_PIXELS:
            raise UnusableFileError("too_many_pixels", f"{width}×{height} pixels")
        union = np.zeros((height, width), dtype=bool)
        for part in parts:
            union |= _decoded(part, width, height)
        return masks.encode(union)


def _parts(segmentation: Any) -> list[Any]:
    """The parts of a segmentation: one object of run lengths, or a list. A flat list of numbers is one polygon."""
    if isinstance(segmentation, dict):
        return [segmentation]
    if isinstance(segmentation, list):
        return [segmentation] if segmentation and _is_number(segmentation[0]) else segmentation
    if segmentation is None:
        raise UnusableFileError("invalid_mask", "no segmentation: a bounding box is no mask")
    raise UnusableFileError("invalid_mask", f"a {type(segmentation).__name__} instead of run lengths or polygons")


def _decoded(part: Any, width: int, height: int) -> np.ndarray:
    if isinstance(part, dict):
        return _run_lengths(part, width, height)
    if isinstance(part, list):
        return _polygon(part, width, height)
    raise UnusableFileError("invalid_mask", f"a {type(part).__name__} instead of run lengths or a polygon")


def _run_lengths(part: dict[str, Any], width: int, height: int) -> np.ndarray:
    size, counts = part.get("size"), part.get("counts")
    sides = [_whole(side) for side in size] if isinstance(size, list) else []
    if len(sides) != 2 or None in sides:
        raise UnusableFileError("invalid_mask", "run lengths without a size of two whole numbers")
    if sides != [height, width]:
        raise UnusableFileError("size_mismatch", f"mask is {sides[1]}×{sides[0]}, image {width}×{height}")
    if isinstance(counts, list):
        runs = [_whole(run) for run in counts] if len(counts) <= height * width + 1 else [None]
        whole = [run for run in runs if run is not None and run <= MAX_PIXELS]
        if len(whole) != len(runs):
            raise UnusableFileError("invalid_mask", "run lengths that are not whole numbers of pixels")
        if sum(whole) != height * width:
            raise UnusableFileError("invalid_mask", f"runs cover {sum(whole)} pixels, not {height}×{width}")
        return np.repeat(np.arange(len(whole)) % 2 == 1, whole).reshape((width, height)).T
    if not isinstance(counts, str):
        raise UnusableFileError("invalid_mask", "run lengths without counts")
    try:
        return masks.decode(Rle(height, width, counts))
    except InputError as error:
        raise UnusableFileError("invalid_mask", str(error)) from error


def _polygon(outline: list[Any], width: int, height: int) -> np.ndarray:
    """A polygon of x, y, x, y … in pixels, with at least three corners."""
    if len(outline) < 6 or len(outline) % 2 or not all(_is_number(number) for number in outline):
        raise UnusableFileError("invalid_mask", "a polygon is x, y, x, y, … of at least three corners")
    corners = np.array([float(number) for number in outline]).reshape(-1, 2)
    reach = np.array([width, height])
    # Annotation tools place corners a little outside of the image, but not farther than its width or height.
    if not np.isfinite(corners).all() or (corners < -reach).any() or (corners > 2 * reach).any():
        raise UnusableFileError("invalid_mask", "a polygon's corner lies far outside the image")
    length = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()
    if length > MAX_OUTLINE:
        raise UnusableFileError("invalid_mask", f"a polygon's outline is {length:.0f} pixels long")
    (rle,) = coco.frPyObjects([corners.ravel().tolist()], height, width)
    return masks.decode(Rle(height, width, rle["counts"].decode("ascii")))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)


def _whole(value: Any) -> int | None:
    """A whole number, also if a tool wrote it as 64.0 or "64"; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    text = coco_id(value)
    return int(text) if text is not None and len(text) < 20 and text.isascii() and text.isdecimal() else None


def coco_id(value: Any) -> str | None:
    """An id as text, the same for 1, 1.0 and "1"; None for a value that cannot be an id."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class Entry:
    """An object of a COCO file's list: its place in the file, its id (None if it has none) and its content."""

    place: str
    id: str | None
    content: dict[str, Any]


class Entries:
    """The objects of a list, in order, and by id."""

    def __init__(self, kind: str, entries: list[Entry]) -> None:
        self.in_order = entries
        self._kind = kind
        self._by_id: dict[str, dict[str, Any]] = {}
        self._ambiguous: set[str] = set()
        for entry in entries:
            if entry.id is not None and self._by_id.setdefault(entry.id, entry.content) != entry.content:
                self._ambiguous.add(entry.id)

    def get(self, value: Any) -> dict[str, Any] | None:
        """The object with that id; None if there is none.

        Raises:
            UnusableFileError: reason ``ambiguous_id`` if different objects have the id.
        """
        key = coco_id(value)
        if key in self._ambiguous:
            raise UnusableFileError("ambiguous_id", f"several {self._kind} have the id {key}")
        return self._by_id.get(key) if key is not None else None

    def without_use(self) -> Iterator[tuple[str, str]]:
        """(place, what is wrong) of the objects that nothing can refer to."""
        seen: set[str] = set()
        for entry in self.in_order:
            if entry.id is None:
                yield entry.place, "it has no id"
            elif entry.id in seen:
                yield entry.place, f"the id {entry.id} came before"
            else:
                seen.add(entry.id)


@dataclass(frozen=True)
class CocoFile:
    """The images, annotations and categories of a file. What is no object at all is in ``strays``."""

    images: Entries
    annotations: Entries
    categories: Entries
    strays: list[tuple[str, str]]
    """(place in the file, what is wrong there)"""

    def category(self, category_id: Any) -> str | None:
        """The name of a category; None if it has none. Raises as ``Entries.get``."""
        name = (self.categories.get(category_id) or {}).get("name")
        return name if isinstance(name, str) else None


def read_coco(path: Path) -> CocoFile:
    """The file; every entry is an object.

    Raises:
        InputError: if it is missing, too large, not JSON, or has no list of images or annotations.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: a COCO file holds an object.")
    strays: list[tuple[str, str]] = []

    def entries_of(key: str) -> Entries:
        values = content.get(key)
        if not isinstance(values, list):
            raise InputError(f"{path} has no list {key!r}: a COCO file has images, annotations and categories.")
        entries = []
        for number, value in enumerate(values):
            place = f"{path.name}#{key}[{number}]"
            if isinstance(value, dict):
                entries.append(Entry(place, coco_id(value.get("id")), value))
            else:
                strays.append((place, "it is no object"))
        return Entries(key, entries)

    images, annotations = entries_of("images"), entries_of("annotations")
    categories = entries_of("categories") if "categories" in content else Entries("categories", [])
    strays += [*images.without_use(), *categories.without_use()]
    return CocoFile(images, annotations, categories, strays)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: if the file is missing, too large, or not JSON.
    """
    try:
        return bounded_json(text_of(outside_bytes(path, MAX_FILE_BYTES)))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): download it again.") from error


def stated_size(image: dict[str, Any]) -> tuple[int | None, int | None]:
    """Width and height of an entry of ``images``; None for a value that is missing or not a whole number."""
    width, height = (_whole(image.get(key)) for key in ("width", "height"))
    return width, height
