"""Scenes and polygons → chips: parts of scenes with the polygons in them, before any picture is made.

A pixel is target if its centre lies in a polygon and the scene has a value there. A chip without a target is left out.
Every polygon is in a chip, or a reject says why not.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from shapely.geometry.base import BaseGeometry

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.layout import shown
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.datasets.vector_layer import VectorLayer
from t2s_pipeline.vision.geometry import MAX_PIXELS
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.scene import OpenScene, open_scene
from t2s_pipeline.vision.view import SceneView

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
# A window at the corner of a scene has the grid of a file without a place.

DRIVERS = ("GTiff", "PNG", "JPEG")
"""GDAL reads two hundred formats, and some of them name other files."""

Stretch = tuple[float, float]


@dataclass(frozen=True)
class Chip:
    """A part of a scene that holds targets.

    Attributes:
        path: of the scene.
        name: of the chip: the scene's file, and the window if it is cut.
        view: the window, at the scene's own resolution.
        place: of the chip.
        outlines: the polygons that have a pixel in the chip, in pixels of the scene, by their number in the layer.
        stretch: of the scene's values.
    """

    path: Path
    name: str
    view: SceneView
    place: Place
    outlines: dict[int, BaseGeometry]
    stretch: Stretch | None


@dataclass
class Coverage:
    """What the scenes hold of the polygons.

    Attributes:
        inside: numbers of the polygons that reach into a scene.
        used: numbers of those that have a pixel in a chip.
        scenes: the number of scenes that could be used.
        notes: scene and sentence.
        rejects: of scenes that cannot be used.
    """

    inside: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    scenes: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    rejects: list[RejectRecord] = field(default_factory=list)


@dataclass(frozen=True)
class Cutting:
    """How scenes are cut.

    Attributes:
        chip: the side of a chip in pixels; 0: a scene is one chip.
        overlap: the pixels that neighbouring chips share.
        bands: of the scenes, as for ``open_scene``.
    """

    chip: int = 0
    overlap: int = 0
    bands: tuple[int, ...] = ()

    def chips(self, root: Path, paths: Iterable[Path], layer: VectorLayer, coverage: Coverage) -> Iterator[Chip]:
        """The chips of scenes that hold targets, row by row.

        Args:
            root: the folder below which names are shown.
            paths: the scenes.
            layer: the polygons.
            coverage: takes what the scenes hold.
        """
        for path in paths:
            name = shown(root, path)
            try:
                with open_scene(path, self.bands, DRIVERS) as scene:
                    fault = self._fault(scene)
                    if fault is not None:
                        coverage.rejects.append(RejectRecord(name, *fault))
                        continue
                    scene.require_values()
                    chips = list(self._of(scene, name, layer, coverage))
                    coverage.notes += [(name, note) for note in scene.notes]
                    coverage.scenes += 1
            except UnusableFileError as error:
                coverage.rejects.append(RejectRecord(name, error.reason, error.detail))
                continue
            except InputError as error:
                coverage.rejects.append(RejectRecord(name, "corrupt_image", str(error)))
                continue
            yield from chips

    def _fault(self, scene: OpenScene) -> tuple[str, str] | None:
        """The reason and detail for which a scene is not used."""
        if not scene.place.crs:
            return "no_crs", scene.notes[-1] if scene.notes else "it states no coordinate reference system"
        if not scene.has_grid or Affine(*scene.place.transform).is_degenerate:
            return "no_grid", "it states no place of its pixels"
        if not self.chip and scene.width * scene.height > MAX_PIXELS:
            return "too_many_pixels", f"{scene.width}×{scene.height} pixels: cut it with --chip"
        return None

    def _of(self, scene: OpenScene, name: str, layer: VectorLayer, coverage: Coverage) -> Iterator[Chip]:
        size = scene.width, scene.height
        outlines = layer.in_pixels(scene.place, *size)
        coverage.inside |= outlines.keys()
        sides = [min(self.chip, length) or length for length in size]
        columns, rows = (_starts(length, side, self.overlap) for length, side in zip(size, sides, strict=True))
        meeting: dict[tuple[int, int], list[int]] = {}
        for number, outline in outlines.items():
            left, top, right, bottom = outline.bounds
            for y in _meeting(rows, sides[1], top, bottom):
                for x in _meeting(columns, sides[0], left, right):
                    meeting.setdefault((y, x), []).append(number)
        for (y, x), numbers in sorted(meeting.items()):
            view = SceneView(x, y, *sides, *sides)
            present = scene.present(view) if scene.has_absent_pixels else None
            inside = {number: outlines[number] for number in numbers if _has_pixel(outlines[number], view, present)}
            if inside:
                coverage.used |= inside.keys()
                is_whole = tuple(sides) == size
                chip_name = name if is_whole else f"{name}#{x},{y},{sides[0]},{sides[1]}"
                yield Chip(scene.path, chip_name, view, scene.place.moved(x, y), inside, scene.stretch)


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Where chips begin along a side: as few as share ``overlap`` pixels at least, evenly spread."""
    gaps = math.ceil((length - side) / (side - overlap)) if length > side else 0
    return [round(number * (length - side) / max(1, gaps)) for number in range(gaps + 1)]


def _meeting(starts: list[int], side: int, low: float, high: float) -> list[int]:
    """The windows that a range of positions meets."""
    return [start for start in starts if start < high and low < start + side]


def _has_pixel(outline: BaseGeometry, view: SceneView, present: NDArray[np.bool_] | None) -> bool:
    """Whether a polygon has a target pixel in a view."""
    left, top, right, bottom = outline.bounds
    x, y = max(view.x, int(left)), max(view.y, int(top))
    width, height = min(view.x + view.width, int(right) + 1) - x, min(view.y + view.height, int(bottom) + 1) - y
    if width <= 0 or height <= 0:
        return False
    pixels = burnt([outline], SceneView(x, y, width, height, width, height))
    if present is not None:
        pixels &= present[y - view.y : y - view.y + height, x - view.x : x - view.x + width]
    return bool(pixels.any())


def burnt(outlines: Iterable[BaseGeometry], view: SceneView) -> NDArray[np.bool_]:
    """The pixels of a view whose centres lie in a polygon, bool (rows, columns).

    Args:
        outlines: in pixels of the scene.
        view: a window at the scene's own resolution.
    """
    pixels: NDArray[np.uint8] = rasterio.features.rasterize(
        outlines,
        out_shape=(view.height, view.width),
        transform=Affine.translation(view.x, view.y),
        dtype="uint8",
    )
    return pixels.astype(bool)
