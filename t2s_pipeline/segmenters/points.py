"""Prompt objects as the labelled points that sam2's prompt encoder takes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Frame, Point, PromptObject

POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT, NO_POINT = 1, 0, 2, 3, -1
"""The labels of points in sam2. A box is its two corner points."""


def labelled_points(item: PromptObject) -> list[tuple[Point, int]]:
    """The points of an object with their labels: the box's corners first, as in ``SAM2ImagePredictor._predict``."""
    points: list[tuple[Point, int]] = []
    if item.bbox is not None:
        points += [(item.bbox[:2], TOP_LEFT), (item.bbox[2:], BOTTOM_RIGHT)]
    points += [(point, POSITIVE) for point in item.positive_points]
    points += [(point, NEGATIVE) for point in item.negative_points]
    return points


def point_tensors(
    items: Sequence[PromptObject],
    source: Frame,
    side: int,
    device: torch.device,
    extra_point_beside_boxes: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The points of n objects in one batch. Objects with fewer points than P are padded with points of ``NO_POINT``.

    Args:
        items: the objects.
        source: the frame of their coordinates.
        side: the side of the segmenter's square, in pixels.
        device: where the tensors are made.
        extra_point_beside_boxes: false if the point that the encoder adds counts only for objects without a box, as in
            SAM.

    Returns:
        Coordinates in pixels of the square (n, P, 2), labels (n, P), and which points are no padding, bool (n, P + 1).
        The last column stands for the point that sam2's encoder adds to every object. None instead of the third if
        there is no padding.

    Raises:
        InputError: for an object with neither a box nor a point.
    """
    points = [labelled_points(item) for item in items]
    if not all(points):
        raise InputError("A prompt object has neither a box nor a point: drop it before segmenting.")
    lengths = [len(item) for item in points]
    longest = max(lengths)
    padded = [item + [((0.0, 0.0), NO_POINT)] * (longest - len(item)) for item in points]
    xy = torch.tensor([[point for point, _ in item] for item in padded], dtype=torch.float, device=device)
    labels = torch.tensor([[label for _, label in item] for item in padded], dtype=torch.int, device=device)
    # First divided, then multiplied, in float32: the order of SAM2Transforms.transform_coords.
    xy = xy / xy.new_tensor([source.width, source.height]) * side
    with_box = torch.tensor([item.bbox is not None for item in items], device=device)
    if min(lengths) == longest and (extra_point_beside_boxes or not with_box.any()):
        return xy, labels, None
    real = torch.arange(longest + 1, device=device) < torch.tensor(lengths, device=device)[:, None]
    real[:, -1] = True if extra_point_beside_boxes else ~with_box
    return xy, labels, real
