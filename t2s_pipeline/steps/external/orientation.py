"""Run lengths in row order, or with exchanged sides: the right reading of a mask is the smoother one.

COCO counts pixels column by column. Who counts row by row, or writes width before height, gives a mask of the same
length whose pixels are shredded if it is read as COCO's. A mask that is read rightly has few borders between target and
background.
"""

from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

SAMPLED = 200
"""Masks of a file that are compared in both readings."""
CLEARLY = 2
"""The other reading must have fewer borders by this factor."""


def borders(mask: Mask) -> int:
    """The number of neighbouring pixels, in rows and columns, of which one is target and one is not."""
    return int(np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1]))


def in_row_order(mask: Mask) -> Mask:
    """The mask (H, W) that run lengths mean if they count row by row, from the mask that they give column by column."""
    return mask.ravel(order="F").reshape(mask.shape)


def are_in_row_order(masks: Iterable[Mask]) -> bool:
    """Whether the run lengths of a file count row by row; ``masks`` are read column by column."""
    as_columns = as_rows = 0
    for mask in islice(masks, SAMPLED):
        as_columns += borders(mask)
        as_rows += borders(in_row_order(mask))
    return as_rows * CLEARLY < as_columns


def with_sides_exchanged(mask: Mask) -> Mask | None:
    """The mask (H, W) of run lengths whose stated size is (W, H), from the mask (W, H) that they give.

    Returns:
        Either the transposed mask, or the one whose sides alone were exchanged; None if it cannot be told which.
    """
    transposed = mask.T
    sequence = transposed.ravel()
    renamed = sequence.reshape(mask.shape).T
    if np.array_equal(transposed, renamed):
        return transposed
    first, second = borders(transposed), borders(renamed)
    if first * CLEARLY <= second:
        return transposed
    return renamed if second * CLEARLY <= first else None
