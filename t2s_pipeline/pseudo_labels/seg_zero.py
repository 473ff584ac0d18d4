"""Seg-Zero's label: one box around the whole mask and two points inside it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from t2s_pipeline.pseudo_labels.label import (
    Label,
    Labelling,
    Mask,
    Pixel,
    edge_distance,
    on_mask,
    on_square,
    tight_box,
    within,
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
    x0, y0, x1, y1 = tight_box(mask)
    rows, columns = within(slice(y0, y1 + 1), slice(x0, x1 + 1))
    part = mask[rows, columns]
    ys, xs = np.nonzero(part)
    depth = edge_distance(np.ascontiguousarray(part))[ys, xs]
    indices = [int(depth.argmax())]
    apart = np.full(depth.size, np.iinfo(np.int64).max)
    # Whatever the median of an even number is taken to be between the two in the middle, nothing lies between them.
    middle = (depth.size - 1) // 2
    while len(indices) < count:
        apart = np.minimum(apart, (xs - xs[indices[-1]]) ** 2 + (ys - ys[indices[-1]]) ** 2)
        far = apart > np.partition(apart, middle)[middle]
        indices.append(int(np.where(far, depth, 0).argmax()) if far.any() else indices[0])
    return tuple((int(xs[index]) + columns.start, int(ys[index]) + rows.start) for index in indices)


def _scaled(value: int, native: int, side: int) -> int:
    return min(side - 1, int(value * side / native + 0.5))
