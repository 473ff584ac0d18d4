"""Rectangles of a scene, and which of them are read to answer a question about the whole scene.

All positions are pixels of the scene's own grid (native): x goes to the right, y goes down, both start at 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Box, Frame, PromptObject

WHOLE = 1.5
"""A scene whose longer side is at most so many times the side of a tile is read as one view."""

MAX_VIEWS = 20_000
"""The most tiles of a scene. At a second each this is more than five hours."""


@dataclass(frozen=True)
class SceneView:
    """A rectangle of a scene and the size at which it is read.

    Attributes:
        x: first column, native.
        y: first row, native.
        width: native columns.
        height: native rows.
        columns: width of the image that is read.
        rows: height of the image that is read.
    """

    x: int
    y: int
    width: int
    height: int
    columns: int
    rows: int

    @property
    def frame(self) -> Frame:
        """The frame of the image that is read."""
        return Frame(self.columns, self.rows)

    @property
    def box(self) -> Box:
        """Its corners, native."""
        return (self.x, self.y, self.x + self.width, self.y + self.height)

    @property
    def step(self) -> tuple[float, float]:
        """Native pixels per pixel that is read, in x and y."""
        return self.width / self.columns, self.height / self.rows

    def to_scene(self, item: PromptObject) -> PromptObject:
        """Prompts in the scene's pixels, from pixels of the image that is read."""
        return _shifted(item.moved(self.frame, Frame(self.width, self.height)), self.x, self.y)

    def from_scene(self, item: PromptObject) -> PromptObject:
        """The inverse of ``to_scene``."""
        return _shifted(item, -self.x, -self.y).moved(Frame(self.width, self.height), self.frame)


def _shifted(item: PromptObject, dx: float, dy: float) -> PromptObject:
    box = item.bbox
    return PromptObject(
        bbox=None if box is None else (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy),
        positive_points=tuple((x + dx, y + dy) for x, y in item.positive_points),
        negative_points=tuple((x + dx, y + dy) for x, y in item.negative_points),
    )


@dataclass(frozen=True)
class Tiling:
    """How a scene is cut into tiles.

    Attributes:
        tile: the side of a tile, in pixels that are read.
        overlap: the pixels that neighbouring tiles share, in pixels that are read.
        factor: native pixels per pixel that is read. Above 1 the scene is read at a coarser resolution.
        origin: where the grid of tiles begins, in native pixels before the scene's corner. Results must not depend on
            it.

    Raises:
        InputError: if the numbers cannot be used.
    """

    tile: int
    overlap: int
    factor: float = 1.0
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.tile < 32:
            raise InputError(f"A tile of {self.tile} pixels is too small: give --tile at least 32.")
        if not 0 <= self.overlap <= self.tile // 2:
            raise InputError(
                f"Tiles of {self.tile} pixels cannot overlap by {self.overlap}: give --overlap from 0 to "
                f"{self.tile // 2}."
            )
        if not self.factor > 0:
            raise InputError("The resolution must be above 0.")

    def plan(self, width: int, height: int) -> tuple[SceneView, ...]:
        """The views of a scene of that size: one of the whole scene, then its tiles, row by row.

        A scene that is hardly larger than a tile has one view. The first view of a larger scene is its overview: the
        longer side is read at the side of a tile.

        Raises:
            InputError: if there are more than ``MAX_VIEWS`` tiles.
        """
        longest = max(width, height) / self.factor
        if longest <= WHOLE * self.tile:
            return (_read_at(0, 0, width, height, self.factor),)
        overview = _read_at(0, 0, width, height, max(width, height) / self.tile)
        side, overlap = max(1, round(self.tile * self.factor)), round(self.overlap * self.factor)
        across, down = (
            _starts(length, side, max(1, side - overlap), begin)
            for length, begin in zip((width, height), self.origin, strict=True)
        )
        count = len(across) * len(down)
        if count > MAX_VIEWS:
            raise InputError(
                f"A scene of {width} × {height} pixels has {count:,} tiles of {self.tile} pixels, more than "
                f"{MAX_VIEWS:,}: give a coarser --resolution in metres, or cut the scene (gdal_translate -projwin)."
            )
        sides = min(side, width), min(side, height)
        return (overview, *(_read_at(x, y, *sides, self.factor) for y, x in product(down, across)))


def _read_at(x: int, y: int, width: int, height: int, factor: float) -> SceneView:
    return SceneView(x, y, width, height, max(1, round(width / factor)), max(1, round(height / factor)))


def _starts(length: int, side: int, step: int, origin: int) -> list[int]:
    """Where tiles begin along a side. The first and the last are moved so that they lie inside the scene."""
    return sorted(set(_moved_inside(length, side, step, origin)))


def _moved_inside(length: int, side: int, step: int, origin: int) -> Iterator[int]:
    position = -(origin % step)
    while True:
        yield min(max(position, 0), max(0, length - side))
        if position + side >= length:
            return
        position += step
