"""Runs of pixels in the rows of an image: their connected components and boxes.

An image of a million pixels has a few thousand runs, so work on runs is hundreds of times less than work on pixels.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from t2s_pipeline.pseudo_labels.label import Mask, PixelBox

NOTHING = -1
"""The number of pixels that belong to no run."""

Indices = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PixelRuns:
    """Runs in row order.

    Attributes:
        starts: flat index of the first pixel of each run.
        ends: flat index after its last pixel, in the same row.
        shape: height and width of the image.
    """

    starts: Indices
    ends: Indices
    shape: tuple[int, int]

    @classmethod
    def of_mask(cls, mask: Mask) -> Self:
        """The runs of a mask (H, W) whose outermost columns are empty, and its first and last row too."""
        flat = mask.ravel()
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        return cls(edges[::2], edges[1::2], (mask.shape[0], mask.shape[1]))

    def components(self, diagonal: bool) -> Numbers:
        """The number of each run's connected component, 0, 1, … by the first run of each.

        Args:
            diagonal: pixels that touch at a corner are connected.
        """
        # Runs of the row below that begin before this run's end and end after its start. Where corners count, one
        # pixel more on either side.
        width, more = self.shape[1], 1 if diagonal else 0
        low = np.searchsorted(self.ends, self.starts + (width - more), side="right")
        high = np.searchsorted(self.starts, self.ends + (width + more), side="left")
        below = np.maximum(high - low, 0)
        above = np.repeat(np.arange(self.starts.size), below)
        offset = np.arange(above.size) - np.repeat(np.cumsum(below) - below, below)
        return linked(self.starts.size, above, low[above] + offset)

    def single_pixels(self) -> Self:
        """The same pixels, each as a run of its own."""
        lengths = self.ends - self.starts
        offset = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        starts = np.repeat(self.starts, lengths) + offset
        return replace(self, starts=starts, ends=starts + 1)

    def painted(self, numbers: npt.NDArray[np.integer]) -> Numbers:
        """An image (H, W) with the number of each run at its pixels, ``NOTHING`` elsewhere."""
        edges = np.zeros(2 * self.starts.size + 2, np.int64)
        edges[1:-1:2], edges[2:-1:2], edges[-1] = self.starts, self.ends, self.shape[0] * self.shape[1]
        values = np.full(2 * self.starts.size + 1, NOTHING, np.int32)
        values[1::2] = numbers
        return np.repeat(values, np.diff(edges)).reshape(self.shape)

    def boxes(self, numbers: npt.NDArray[np.integer]) -> list[PixelBox]:
        """The box around the runs of each number, 0, 1, … in order; every number up to the highest occurs."""
        width, last = self.shape[1], self.ends - 1
        count = int(numbers.max(initial=NOTHING)) + 1
        least = np.full((2, count), self.shape[0] * width)
        greatest = np.zeros_like(least)
        for axis, (first_at, last_at) in enumerate(
            ((self.starts % width, last % width), (self.starts // width, last // width))
        ):
            np.minimum.at(least[axis], numbers, first_at)
            np.maximum.at(greatest[axis], numbers, last_at)
        return list(zip(*least.tolist(), *greatest.tolist(), strict=True))


def numbered_runs(image: Numbers) -> tuple[PixelRuns, Numbers]:
    """The runs of pixels with the same number in an image (H, W), and their numbers; ``NOTHING`` makes no run."""
    flat, width = image.ravel(), image.shape[1]
    changes = flat[1:] != flat[:-1]
    changes[width - 1 :: width] = True  # a run ends with its row
    ends = np.append(np.flatnonzero(changes) + 1, flat.size)
    starts = np.append(0, ends[:-1])
    numbers = flat[starts]
    has_number = numbers != NOTHING
    return PixelRuns(starts[has_number], ends[has_number], (image.shape[0], width)), numbers[has_number]


def linked(count: int, firsts: npt.NDArray[np.integer], seconds: npt.NDArray[np.integer]) -> Numbers:
    """Numbers of the connected components of ``count`` nodes, of which the pairs (first, second) are linked.

    They are numbered by their first nodes.
    """
    # Each round hooks every tree with a lower neighbour to its lowest one, then makes all trees flat. The root of a
    # component's last tree is its lowest node.
    root = np.arange(count, dtype=np.int32)
    low, high = np.minimum(firsts, seconds), np.maximum(firsts, seconds)
    while low.size:
        np.minimum.at(root, high, low)
        while not np.array_equal(root, above := root[root]):
            root = above
        firsts, seconds = root[low], root[high]
        differ = firsts != seconds
        firsts, seconds = firsts[differ], seconds[differ]
        low, high = np.minimum(firsts, seconds), np.maximum(firsts, seconds)
    is_root = root == np.arange(count)
    numbers: Numbers = (np.cumsum(is_root, dtype=np.int32) - 1)[root]
    return numbers
