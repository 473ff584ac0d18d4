"""A pseudo-label, what a labelling is, and what all labellings do with a mask.

SciPy's submodules are reached as attributes of ``scipy``. It imports them at their first use, so that naming a
labelling does not cost the second that importing them takes.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import scipy

from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import FULL_SIDE, Box, Point

# OpenCV's threads gain nothing on one mask, and slow down the processes that label many masks.
cv2.setNumThreads(1)

Mask = npt.NDArray[np.bool_]
"""bool (H, W): true on the target."""

EXACT_SIDE = 1024
"""OpenCV's distances in single precision are exact up to this height and width (tests/pseudo_labels)."""

PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1: the indices of the first and the last pixel, both inclusive."""

Pixel = tuple[int, int]
"""x, y: the indices of a pixel."""


@dataclass(frozen=True)
class Label:
    """One labelled instance, in pixels of a square.

    Attributes:
        bbox: the indices of the first and the last pixel on either axis, both inclusive.
        points: indices of pixels of the mask.
        area: the number of pixels of the instance.
    """

    bbox: Box
    points: tuple[Point, ...]
    area: int


@dataclass(frozen=True)
class Labelling(ABC):
    """A way to make labels of a mask. The fields are its parameters, which are recorded with the labels."""

    side: int = FULL_SIDE
    """Of the square whose pixels the labels are in."""

    name: ClassVar[str]
    """As recipes name it."""

    @abstractmethod
    def instances(self, mask: Mask) -> list[Mask]:
        """The parts of a mask, bool (H, W), that are labelled: bool (side, side) each."""

    @abstractmethod
    def label(self, mask: Mask) -> list[Label]:
        """The labels of a mask, bool (H, W), in pixels of the square; none for an empty mask."""


def tight_box(mask: Mask) -> PixelBox:
    """The box around a mask (H, W) that is not empty."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return left, top, left + width - 1, top + height - 1


def edge_distance(mask: Mask) -> npt.NDArray[np.int32]:
    """Squared Euclidean distance of each mask pixel to the nearest pixel off the mask, 0 off it; int32 (H, W).

    The border of the image is no edge, unless the mask fills the image and there is no other.
    """
    if mask.all():
        return edge_distance(np.pad(mask, 1))[1:-1, 1:-1]
    if max(mask.shape) > EXACT_SIDE:
        return _edge_distance_of_large(mask)
    distance = np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    np.square(distance, out=distance)
    return np.rint(distance, out=distance).astype(np.int32)


def _edge_distance_of_large(mask: Mask) -> npt.NDArray[np.int32]:
    """``edge_distance`` with SciPy, which is exact at any size and several times slower."""
    # SciPy computes the nearest pixels and not the distances: distances take half as long again, and squares are
    # whole numbers.
    away: npt.NDArray[np.int32] = scipy.ndimage.distance_transform_edt(
        mask, return_distances=False, return_indices=True
    )
    away[0] -= np.arange(mask.shape[0], dtype=away.dtype)[:, None]
    away[1] -= np.arange(mask.shape[1], dtype=away.dtype)
    away *= away
    away[0] += away[1]
    nearest: npt.NDArray[np.int32] = away[0]
    return nearest


def edge_distance_of_part(part: Mask, top: int, left: int, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """``edge_distance`` in the window of a part of the target; int32 (h, w).

    Args:
        part: bool (h, w). Outside the window, nothing is of the part.
        top: the first row of the window.
        left: its first column.
        shape: height and width of the image. Where it goes on beyond the window, the window's border is an edge.
    """
    height, width = part.shape
    first_row, first_column = int(top > 0), int(left > 0)
    rows, columns = slice(first_row, first_row + height), slice(first_column, first_column + width)
    framed = np.zeros((rows.stop + int(top + height < shape[0]), columns.stop + int(left + width < shape[1])), np.bool_)
    framed[rows, columns] = part
    return edge_distance(framed)[rows, columns]


def on_mask(point: Pixel, mask: Mask) -> Pixel:
    """The point if it lies on the mask (H, W), else the nearest pixel that does (the first of several, row by row)."""
    x = min(max(point[0], 0), mask.shape[1] - 1)
    y = min(max(point[1], 0), mask.shape[0] - 1)
    if mask[y, x]:
        return x, y
    ys, xs = np.nonzero(mask)
    nearest = int(((xs - x) ** 2 + (ys - y) ** 2).argmin())
    return int(xs[nearest]), int(ys[nearest])


def on_square(mask: Mask, side: int) -> Mask:
    """The mask (H, W) at ``side`` × ``side``, by its pixels at the new centres, as the prompter's square shows it."""
    return np.ascontiguousarray(mask if mask.shape == (side, side) else masks.at_centres(mask, side, side))
