"""Seg-Zero's label: one box around the whole mask and two points inside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from t2s_pipeline.pseudo_labels.islands import APART, Island, Islands
from t2s_pipeline.pseudo_labels.label import (
    Label,
    Labelling,
    Mask,
    Pixel,
    edge_distance_of_part,
    on_mask,
    on_square,
    tight_box,
)


@dataclass(frozen=True)
class SegZeroLabels(Labelling):
    """Made at the mask's native size, then scaled to the square by ⌊v · side / native + 0.5⌋ (their code).

    Where scaling moves a point off the mask as the square shows it, the point goes to the nearest mask pixel there.
    """

    name: ClassVar[str] = "seg-zero"

    def instances(self, mask: Mask) -> list[Mask]:
        """The whole mask (side, side), if it is not empty."""
        square = on_square(mask, self.side)
        return [square] if square.any() else []

    def label(self, mask: Mask) -> list[Label]:
        """The label of a mask, bool (H, W); none for an empty one, also if it is empty only at the square's size."""
        if not mask.any():
            return []
        square = on_square(mask, self.side)
        if not square.any():
            return []
        mask = np.ascontiguousarray(mask)
        height, width = mask.shape
        x0, y0, x1, y1 = tight_box(mask)
        points = [
            on_mask((_scaled(x, width, self.side), _scaled(y, height, self.side)), square)
            for x, y in interior_points(mask)
        ]
        box = (
            _scaled(x0, width, self.side),
            _scaled(y0, height, self.side),
            _scaled(x1, width, self.side),
            _scaled(y1, height, self.side),
        )
        return [Label(box, tuple(points), int(np.count_nonzero(square)))]


def interior_points(mask: Mask, count: int = 2) -> tuple[Pixel, ...]:
    """Points (x, y) of a mask that is not empty; Seg-Zero's two, or as many more by the same rule.

    The first is the pixel farthest from the mask's edge. The next is the pixel farthest from the edge among those that
    lie farther from the points so far than the median pixel does; if there is none, the first again. Of several
    candidates, the first in row order.
    """
    depths = _Depths(mask)
    points = [depths.deepest((), -1) or (0, 0)]
    positions = np.flatnonzero(mask).astype(_kind(mask.shape))
    ys = positions // mask.shape[1]
    xs = positions - ys * mask.shape[1]
    # Whatever the median of an even number is taken to be between the two in the middle, nothing lies between them.
    middle = (ys.size - 1) // 2
    while len(points) < count:
        apart = _squares(ys, xs, points)
        points.append(depths.deepest(points, np.partition(apart, middle)[middle]) or points[0])
    return tuple(points)


def _squares(
    ys: npt.NDArray[np.signedinteger], xs: npt.NDArray[np.signedinteger], points: Sequence[Pixel]
) -> npt.NDArray[np.signedinteger]:
    """The squared distance to the nearest of some points, for rows and columns that broadcast."""
    squares = [(xs - x) ** 2 + (ys - y) ** 2 for x, y in points]
    return squares[0] if len(squares) == 1 else np.minimum.reduce(squares)


def _kind(shape: tuple[int, ...]) -> type[np.signedinteger]:
    """Numbers with enough bits for the squared distances in an image of height and width, and for its positions."""
    return np.int32 if sum(size**2 for size in shape) <= np.iinfo(np.int32).max else np.int64


def _squared_gap(point: Pixel, island: Island) -> int:
    """The squared distance from a point to the nearest pixel of an island's window."""
    x = min(max(point[0], island.columns.start), island.columns.stop - 1)
    y = min(max(point[1], island.rows.start), island.rows.stop - 1)
    across, down = x - point[0], y - point[1]
    return int(across * across + down * down)


class _Depths:
    """How far the pixels of a mask lie from its edge, island by island, as far as that is asked for."""

    def __init__(self, mask: Mask) -> None:
        self._islands = Islands.of(mask)
        limits = _limits(self._islands)
        self._order = (-limits).argsort(kind="stable").tolist()
        self._limits = limits.tolist()
        self._kind = _kind(mask.shape)
        self._known: dict[int, tuple[Island, npt.NDArray[np.int32]]] = {}

    def deepest(self, points: Sequence[Pixel], farther_than: int) -> Pixel | None:
        """The pixel farthest from the edge, the first in row order, among those farther from all points than that.

        Args:
            points: columns and rows.
            farther_than: squared distance in pixels.
        """
        best: tuple[int, int, int] | None = None
        for index in self._order:
            if best is not None and self._limits[index] < -best[0]:
                break
            island, depth = self._depth(index)
            if any(_squared_gap(point, island) <= farther_than for point in points):
                rows = np.arange(island.rows.start, island.rows.stop, dtype=self._kind)
                columns = np.arange(island.columns.start, island.columns.stop, dtype=self._kind)
                depth = np.where(_squares(rows[:, None], columns, points) > farther_than, depth, 0)
            y, x = divmod(int(depth.argmax()), depth.shape[1])
            candidate = (-int(depth[y, x]), island.top + y, island.left + x)
            if candidate[0] and (best is None or candidate < best):
                best = candidate
        return None if best is None else (best[2], best[1])

    def _depth(self, index: int) -> tuple[Island, npt.NDArray[np.int32]]:
        """An island, and for each pixel of its window the squared distance to the edge."""
        if index not in self._known:
            island = self._islands.island(index)
            self._known[index] = (
                island,
                edge_distance_of_part(island.mask, island.top, island.left, self._islands.shape),
            )
        return self._known[index]


def _limits(islands: Islands) -> npt.NDArray[np.float64]:
    """For each island, a squared distance to the edge that no pixel of it exceeds."""
    limits = np.full(islands.areas.size, np.inf)
    both = np.zeros(islands.areas.size, bool)
    for axis, size in ((1, islands.shape[0]), (0, islands.shape[1])):
        first, cells = (
            islands.boxes[:, axis].astype(np.int64) * APART,
            islands.boxes[:, axis + 2].astype(np.int64) * APART,
        )
        # At a border of the image there is no edge, so only the other side counts.
        before, after = first == 0, first + cells >= size
        limits = np.minimum(
            limits, np.where(before & after, np.inf, np.where(before | after, cells, (cells + 1) // 2) ** 2)
        )
        both |= before & after
    # A pixel of squared depth s has all pixels nearer than that in its island, at least those of a quarter of the disc.
    # That are π s / 4 or more.
    return np.where(both, limits, np.minimum(limits, islands.areas * (4 / math.pi)))


def _scaled(value: int, native: int, side: int) -> int:
    return min(side - 1, int(value * side / native + 0.5))
