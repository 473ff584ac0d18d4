"""Comparing predicted objects with labels: boxes as pixels, and which object is matched with which label.

Everything here is in pixels of the square of 840, whatever square the prompter sees, because the thresholds of the
methods are in these pixels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.vision.geometry import FULL_SIDE, Frame, PromptObject

SQUARE = Frame.square(FULL_SIDE)

Array = npt.NDArray[np.float64]


def on_full_square(objects: Sequence[PromptObject], frame: Frame) -> list[PromptObject]:
    """The objects of an answer, moved from the prompter's frame to the square that labels are made for."""
    return [item.moved(frame, SQUARE) for item in objects]


def box_array(boxes: Sequence[Sequence[float] | None]) -> Array:
    """Boxes as float (n, 4). A missing box is NaN, and so fails every comparison."""
    return np.array([box if box is not None else (np.nan,) * 4 for box in boxes], float).reshape(-1, 4)


def label_boxes(labels: Sequence[Label]) -> Array:
    """The boxes of labels as float (n, 4)."""
    return box_array([label.bbox for label in labels])


def pixel_iou(a: Array, b: Array) -> Array:
    """IoU (n, m) of boxes (n, 4) and (m, 4), whose last row and column of pixels belong to them; NaN for a NaN box."""
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    shared: Array = np.maximum(sides, 0).prod(-1)
    areas: Array = (a[..., 2:] - a[..., :2] + 1).prod(-1) + (b[..., 2:] - b[..., :2] + 1).prod(-1)
    return shared / (areas - shared)


def mean_l1(a: Array, b: Array) -> Array:
    """Mean absolute difference (n, m) of the four coordinates of boxes (n, 4) and (m, 4)."""
    difference: Array = np.abs(a[:, None] - b[None]).mean(-1)
    return difference


def matched_total(scores: Array) -> float:
    """The greatest sum of scores (n, m) with every row and every column used once at most (Hungarian method)."""
    if not scores.size:
        return 0.0
    return float(scores[scipy.optimize.linear_sum_assignment(scores, maximize=True)].sum())
