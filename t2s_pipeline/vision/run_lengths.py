"""Areas, overlaps and resizing counted on run lengths, without ever making the mask's pixels.

A mask of a megapixel has a few thousand runs, so this is what makes scoring a hundred thousand stored masks a
matter of a minute.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from t2s_pipeline.vision import masks


@dataclass(frozen=True)
class Runs:
    """A mask of ``height`` × ``width`` as the places where it flips, column by column from the top left.

    Attributes:
        flips: int64, ascending positions (x · height + y) from which on the value is the opposite; the pixel
            before the first flip is background. Equal positions cancel in pairs.
    """

    height: int
    width: int
    flips: np.ndarray

    @classmethod
    def of(cls, rle: masks.Rle) -> "Runs":
        """Read COCO run lengths, which are checked first.

        Raises:
            InputError: if they are malformed or do not fill the mask.
        """
        return cls(rle.height, rle.width, np.cumsum(masks.check(rle))[:-1])

    @cached_property
    def area(self) -> int:
        """Target pixels."""
        starts, ends = self._segments
        return int((ends - starts).sum())

    @cached_property
    def _segments(self) -> tuple[np.ndarray, np.ndarray]:
        """First position of each target run, and the position after its last."""
        flips = self.flips if self.flips.size % 2 == 0 else np.append(self.flips, self.height * self.width)
        return flips[0::2], flips[1::2]

    @cached_property
    def _covered(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions, and how many target pixels lie before each; in between the count grows linearly."""
        places = np.concatenate([[0], self.flips, [self.height * self.width]])
        lengths = np.diff(places)
        lengths[0::2] = 0
        return places, np.concatenate([[0], np.cumsum(lengths)])

    def intersection(self, other: "Runs") -> int:
        """Pixels in both masks, which must be of one size."""
        starts, ends = self._segments
        places, before = other._covered
        # Exact: a count of pixels is far below 2^53, and inside a run it is a straight line.
        return int(np.rint(np.interp(ends, places, before) - np.interp(starts, places, before)).sum())

    def nearest(self, height: int, width: int) -> "Runs":
        """The mask at another size; the same pixels as ``masks.nearest``."""
        rows = masks.nearest_indices(self.height, height)
        starts = masks.nearest_indices(self.width, width) * self.height
        first = np.searchsorted(self.flips, starts, side="right")
        last = np.searchsorted(self.flips, starts + self.height - 1, side="right")
        # The flips inside each column that is kept, one after the other …
        counts = last - first
        column = np.repeat(np.arange(width), counts)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        # … act from the first row that is sampled at or below them, or in the next column if there is none,
        flips = column * height + np.searchsorted(rows, self.flips[inside] - starts[column])
        # and a column whose top differs from the bottom of the one before it starts with a flip.
        at_top = np.flatnonzero((first - np.concatenate([[0], last[:-1]])) % 2) * height
        places, times = np.unique(np.concatenate([flips, at_top]), return_counts=True)
        return Runs(height, width, places[times % 2 == 1])
