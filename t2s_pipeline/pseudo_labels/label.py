"""A pseudo-label, and what all labellings do with a mask: box, distance to its edge, points that stay on it."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Box, Point


@dataclass(frozen=True)
class Label:
    """One labelled instance, in pixels of a square.

    ``bbox`` holds the first and last pixel's index on either axis, both inclusive; ``points`` are indices of pixels
    of the mask; ``area`` counts the instance's pixels.
    """

    bbox: Box
    points: tuple[Point, ...]
    area: int


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask (H, W) that is not empty; inclusive pixel indices."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def edge_distance(mask: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance of each mask pixel to the nearest pixel off the mask, 0 off it; int32 (H, W).

    The image's own border is no edge, unless the mask fills the image and there is no other.
    """
    if mask.all():
        return edge_distance(np.pad(mask, 1))[1:-1, 1:-1]
    # The nearest pixels and not SciPy's distances: those take half as long again, and squares are whole numbers.
    away = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    away[0] -= np.arange(mask.shape[0], dtype=away.dtype)[:, None]
    away[1] -= np.arange(mask.shape[1], dtype=away.dtype)
    away *= away
    away[0] += away[1]
    return away[0]


def within(rows: slice, columns: slice) -> tuple[slice, slice]:
    """A region with a rim of one pixel wherever the image goes on, so that its edge is inside."""
    return slice(max(0, rows.start - 1), rows.stop + 1), slice(max(0, columns.start - 1), columns.stop + 1)


def on_mask(point: tuple[int, int], mask: np.ndarray) -> tuple[int, int]:
    """The point if it lies on the mask (H, W), else the nearest pixel that does (the first of several, row by row)."""
    x = min(max(point[0], 0), mask.shape[1] - 1)
    y = min(max(point[1], 0), mask.shape[0] - 1)
    if mask[y, x]:
        return x, y
    ys, xs = np.nonzero(mask)
    nearest = int(((xs - x) ** 2 + (ys - y) ** 2).argmin())
    return int(xs[nearest]), int(ys[nearest])


def on_square(mask: np.ndarray, side: int) -> np.ndarray:
    """The mask (H, W) at ``side`` × ``side``, by nearest neighbour, as the prompter's square shows it."""
    return np.ascontiguousarray(mask if mask.shape == (side, side) else masks.nearest(mask, side, side))
