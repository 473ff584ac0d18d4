"""What a prompter is shown at its second look: the picture with its own first mask drawn into it."""

import cv2
import numpy as np
from numpy.typing import NDArray

MARK = (255, 0, 255)
"""Magenta, which hardly occurs in overhead imagery."""
TINT = 0.35
"""How much of the mark is mixed into the mask's pixels. Its outline has the mark's own colour."""


def marked(square: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The square (S, S, 3) with a mask (S, S): tinted, with an outline of one pixel. The same without a target."""
    picture = square.copy()
    if mask.any():
        mark = np.array(MARK, np.float32)
        picture[mask] = np.rint((1 - TINT) * picture[mask] + TINT * mark).astype(np.uint8)
        inner = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        picture[mask & (inner == 0)] = MARK
    return picture
