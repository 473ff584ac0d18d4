"""Comparing predicted objects with labels: boxes as pixels, and who is matched with whom. No torch.

Everything here is in pixels of the square of 840, whatever square the prompter sees, because that is what the
methods' thresholds are pixels of.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.vision.geometry import FULL_SIDE, Frame, PromptObject

SQUARE = Frame.square(FULL_SIDE)


def on_full_square(objects: Sequence[PromptObject], frame: Frame) -> list[PromptObject]:
    """The objects of an answer, moved from the prompter's frame to the square that labels are made for."""
    return [item.moved(frame, SQUARE) for item in objects]


def box_array(boxes: Sequence[Sequence[float] | None]) -> np.ndarray:
    """Boxes as float (n, 4); one that is missing is NaN, and so fails every comparison."""
    return np.array([box if box is not None else (np.nan,) * 4 for box in boxes], float).reshape(-1, 4)


def label_boxes(labels: Sequence[Label]) -> np.ndarray:
    return box_array([label.bbox for label in labels])


def pixel_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (n, m) of boxes (n, 4) and (m, 4) whose last row and column of pixels belong to them; NaN where one is."""
    a, b = a[:, None], b[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    shared = np.maximum(sides, 0).prod(-1)
    areas = (a[..., 2:] - a[..., :2] + 1).prod(-1) + (b[..., 2:] - b[..., :2] + 1).prod(-1)
    return shared / (areas - shared)


def mean_l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference (n, m) of the four coordinates of boxes (n, 4) and (m, 4)."""
    return np.abs(a[:, None] - b[None]).mean(-1)


def matched_total(scores: np.ndarray) -> float:
    """The greatest sum of scores (n, m) with every row and every column used once at most (Hungarian method)."""
    if not scores.size:
        return 0.0
    return float(scores[linear_sum_assignment(scores, maximize=True)].sum())
