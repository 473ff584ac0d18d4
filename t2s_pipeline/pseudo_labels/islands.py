"""The islands of a mask: its parts that lie far from each other, each in an image of its own.

Targets fill a small part of the box around all of them. What is computed island by island, or on the packed islands,
does not look at the empty pixels between them.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from t2s_pipeline.pseudo_labels.label import Mask

APART = 8
"""Pixels of different islands are farther apart than this, in rows or in columns."""

MOST_PACKED = 100
"""Packing more islands costs more time than it saves."""


@dataclass(frozen=True)
class Island:
    """A part of a mask, in the smallest window that holds it.

    Attributes:
        top: the first row of the window.
        left: the first column of the window.
        mask: bool (h, w), row by row in memory. Pixels of other islands are false.
    """

    top: int
    left: int
    mask: Mask

    @property
    def rows(self) -> slice:
        """The rows of the window."""
        return slice(self.top, self.top + self.mask.shape[0])

    @property
    def columns(self) -> slice:
        """The columns of the window."""
        return slice(self.left, self.left + self.mask.shape[1])


@dataclass(frozen=True)
class Islands:
    """The islands of a mask, each made when it is asked for.

    The image is divided into cells of ``APART`` × ``APART`` pixels. Cells that have pixels and touch, at a side or at a
    corner, are of one island.

    Attributes:
        shape: height and width of the mask.
        boxes: int (n, 4): the first column and row, the width and the height of each island, in cells.
        areas: int (n): the pixels of each island.
    """

    shape: tuple[int, int]
    boxes: npt.NDArray[np.int32]
    areas: npt.NDArray[np.int64]
    _mask: Mask
    _numbers: npt.NDArray[np.int32]

    @classmethod
    def of(cls, mask: Mask) -> Self:
        """The islands of a mask, bool (H, W), row by row in memory."""
        height, width = (-(-size // APART) for size in mask.shape)
        shape = (mask.shape[0], mask.shape[1])
        if shape != (height * APART, width * APART):
            padded = np.zeros((height * APART, width * APART), bool)
            padded[: shape[0], : shape[1]] = mask
            mask = padded
        # Eight pixels of a row are eight bytes of one number. Their sums stay in their bytes, and the product has the
        # sum of all bytes in its highest one.
        columns = mask.view(np.uint64).reshape(height, APART, width).sum(axis=1, dtype=np.uint64)
        counts = (columns * np.uint64(0x0101010101010101)) >> np.uint64(56)
        cells = (counts != 0).view(np.uint8)
        count, numbers, boxes, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
        areas = np.bincount(np.ravel(numbers), weights=counts.ravel(), minlength=count).astype(np.int64)
        return cls(shape, np.asarray(boxes[1:, :4], np.int32), areas[1:], mask, np.asarray(numbers, np.int32))

    def island(self, index: int) -> Island:
        """The island of an index."""
        left, top, width, height = self.boxes[index].tolist()
        part = self._mask[top * APART : (top + height) * APART, left * APART : (left + width) * APART]
        window = self._numbers[top : top + height, left : left + width]
        others = (window != 0) & (window != index + 1)
        if others.any():
            part = part & ~others.repeat(APART, axis=0).repeat(APART, axis=1)
        inner_left, inner_top, inner_width, inner_height = cv2.boundingRect(np.ascontiguousarray(part).view(np.uint8))
        tight = part[inner_top : inner_top + inner_height, inner_left : inner_left + inner_width]
        return Island(top * APART + inner_top, left * APART + inner_left, np.ascontiguousarray(tight))


@dataclass(frozen=True)
class Packed:
    """Islands side by side in one image, in their order of the list.

    Attributes:
        mask: bool (H, W), with an empty rim.
        islands: what it holds.
        tops: the first row of each island in the packed image.
        lefts: its first column there.
        width: of the original image.
    """

    mask: Mask
    islands: list[Island]
    tops: list[int]
    lefts: list[int]
    width: int

    def origins(self, positions: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
        """Of some pixels of the islands: the index of the island, and the position in the original image.

        Args:
            positions: flat indices of the packed image.

        Returns:
            The indices, and positions row by row in an image of ``width``.
        """
        ys, xs = np.divmod(positions, self.mask.shape[1])
        heights, widths = np.array([island.mask.shape for island in self.islands]).T
        tops, lefts = np.array(self.tops), np.array(self.lefts)
        down, right = ys[:, None] - tops, xs[:, None] - lefts
        index = ((down >= 0) & (down < heights) & (right >= 0) & (right < widths)).argmax(axis=1)
        ys += np.array([island.top for island in self.islands])[index] - tops[index]
        xs += np.array([island.left for island in self.islands])[index] - lefts[index]
        return index, ys * self.width + xs

    @classmethod
    def of(cls, mask: Mask, apart: int, least: int) -> Self:
        """The packed islands of a mask, bool (H, W), row by row in memory.

        Args:
            mask: with at least one pixel.
            apart: the empty pixels between two islands, and the width of the rim. If it is more than ``APART``, or
                there are many islands, the whole mask is one.
            least: islands with fewer pixels are left out.
        """
        parts: list[Island] = []
        if apart <= APART:
            islands = Islands.of(mask)
            indices = np.flatnonzero(islands.areas >= least).tolist()
            parts = [islands.island(index) for index in indices[: MOST_PACKED + 1]]
        if apart > APART or len(parts) > MOST_PACKED:
            left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
            parts = [Island(top, left, np.ascontiguousarray(mask[top : top + height, left : left + width]))]
        line = max([int(sum(part.mask.size for part in parts) ** 0.5), *(part.mask.shape[1] for part in parts)])
        tops, lefts = [0] * len(parts), [0] * len(parts)
        # High ones first, so that the islands of a line are of similar height.
        top = bottom = apart
        left = right = apart
        for index in sorted(range(len(parts)), key=lambda index: -parts[index].mask.shape[0]):
            height, width = parts[index].mask.shape
            if left > apart and left + width > line + apart:
                top, left = bottom, apart
            tops[index], lefts[index] = top, left
            left += width + apart
            bottom, right = max(bottom, top + height + apart), max(right, left)
        packed = np.zeros((bottom, right), bool)
        for part, at, column in zip(parts, tops, lefts, strict=True):
            packed[at : at + part.mask.shape[0], column : column + part.mask.shape[1]] = part.mask
        return cls(packed, parts, tops, lefts, mask.shape[1])
