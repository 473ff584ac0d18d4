"""One number per pixel, or one colour, in a shape that a picture (H, W, 3) is quickly multiplied with.

numpy would take the three channels of one pixel at a time, which is five times as slow. The numbers are the same.
"""

import cv2
import numpy as np


def in_channels(values: np.ndarray) -> np.ndarray:
    """Values (H, W) as (H, W, 3): each pixel's value in all channels."""
    return cv2.merge((values, values, values))


def as_row(colour: np.ndarray, width: int) -> np.ndarray:
    """A colour (3,) as a row of so many pixels, (width, 3)."""
    return np.tile(colour, (width, 1))
