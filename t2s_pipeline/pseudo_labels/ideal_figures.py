"""The rotated box and the chain of points that a perfect prompter would give for an instance."""

import cv2
import numpy as np

from t2s_pipeline.pseudo_labels.label import Mask, edge_distance
from t2s_pipeline.vision.figures import CHAIN_POINTS, Chain, RotatedBox


def ideal_rotated_box(instance: Mask) -> RotatedBox:
    """The smallest rotated box around the pixels of an instance, bool (H, W), that is not empty."""
    ys, xs = np.nonzero(instance)
    corners = [(x + dx, y + dy) for dx in (0, 1) for dy in (0, 1) for x, y in ((xs, ys),)]
    points = np.concatenate([np.stack(corner, axis=1) for corner in corners]).astype(np.float32)
    (x, y), (width, height), angle = cv2.minAreaRect(points)
    return RotatedBox(float(x), float(y), float(width), float(height), float(angle))


def ideal_chain(instance: Mask) -> Chain:
    """Points along an instance, bool (H, W), that is not empty: in each part along its long axis, the deepest pixel.

    The instance is cut into ``CHAIN_POINTS`` parts of equal length across its long axis (by second moments). So the
    chain follows a bent line as long as the line does not turn back. An instance of one pixel gives two of its corners.
    """
    ys, xs = np.nonzero(instance)
    places = np.stack([xs, ys], axis=1).astype(float)
    centred = places - places.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    along = centred @ vectors[:, 1]
    span = float(np.ptp(along)) or 1.0
    parts = np.minimum(((along - along.min()) / span * CHAIN_POINTS).astype(int), CHAIN_POINTS - 1)
    depth = edge_distance(np.ascontiguousarray(instance))[ys, xs]
    deepest = [
        max(np.flatnonzero(parts == part), key=lambda index: (depth[index], -index)) for part in np.unique(parts)
    ]
    points = tuple((float(xs[index]) + 0.5, float(ys[index]) + 0.5) for index in deepest)
    if len(points) == 1:
        (x, y) = points[0]
        points = ((x - 0.5, y - 0.5), (x + 0.5, y + 0.5))
    return Chain(points)
