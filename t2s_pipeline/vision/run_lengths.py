"""Areas, overlaps and resizing of masks, computed on run lengths without making the pixels.

A mask of a megapixel has a few thousand runs. So a hundred thousand stored masks are scored in about a minute.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision import masks


@dataclass(frozen=True)
class Runs:
    """A mask of ``height`` × ``width`` as the positions at which its value changes, column by column from the top left.

    Attributes:
        height: in pixels.
        width: in pixels.
        flips: int64, ascending positions (x · height + y) from which on the value is the opposite. The mask starts with
            background. Two equal positions cancel each other.
    """

    height: int
    width: int
    flips: NDArray[np.int64]

    @classmethod
    def of(cls, rle: masks.Rle) -> "Runs":
        """Read COCO run lengths, which are checked first.

        Raises:
            InputError: if they are malformed or do not fill the mask.
        """
        return cls(rle.height, rle.width, np.cumsum(masks.check(rle))[:-1])

    @cached_property
    def area(self) -> int:
        """The number of target pixels."""
        starts, ends = self._segments
        return int((ends - starts).sum())

    @cached_property
    def _segments(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first position of each target run, and the position after its last."""
        flips = self.flips if self.flips.size % 2 == 0 else np.append(self.flips, self.height * self.width)
        return flips[0::2], flips[1::2]

    @cached_property
    def _covered(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions, and the number of target pixels before each. Between them the number grows linearly."""
        positions = np.concatenate([[0], self.flips, [self.height * self.width]])
        lengths = np.diff(positions)
        lengths[0::2] = 0
        return positions, np.concatenate([[0], np.cumsum(lengths)])

    def intersection(self, other: "Runs") -> int:
        """The number of pixels in both masks, which must have the same size."""
        starts, ends = self._segments
        positions, before = other._covered
        # Exact: a count of pixels is far below 2^53, and inside a run it is a straight line.
        return int(np.rint(np.interp(ends, positions, before) - np.interp(starts, positions, before)).sum())

    def nearest(self, height: int, width: int) -> "Runs":
        """The mask at another size, with the same pixels as ``masks.nearest``."""
        rows = masks.nearest_indices(self.height, height)
        starts = masks.nearest_indices(self.width, width) * self.height
        first = np.searchsorted(self.flips, starts, side="right")
        last = np.searchsorted(self.flips, starts + self.height - 1, side="right")
        # The flips inside each source column that is used, one column after the other.
        counts = last - first
        column = np.repeat(np.arange(width), counts)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        # A flip acts from the first used source row at or below it. If there is none, it acts in the next column.
        flips = column * height + np.searchsorted(rows, self.flips[inside] - starts[column])
        # A column starts with a flip if its top differs from the bottom of the column before it.
        at_top = np.flatnonzero((first - np.concatenate([[0], last[:-1]])) % 2) * height
        positions, times = np.unique(np.concatenate([flips, at_top]), return_counts=True)
        return Runs(height, width, positions[times % 2 == 1])
