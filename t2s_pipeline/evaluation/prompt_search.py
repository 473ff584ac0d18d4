"""How good prompts of a combination can be: a small search that starts at the labels.

It is coordinate ascent on the IoU with the ground truth, which no prompter knows. The result shows that such prompts
exist; it does not prove that there are no better ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.segmenters.embedding import Embedding
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

STEP = 0.06
"""How far a side of a box is moved, as a fraction of the box's width or height."""
SCALES = (0.9, 1.1)
"""Factors by which a box is made smaller or larger."""
POINTS = 3
"""How many other positions are tried for a point."""
MOST_OBJECTS = 6
"""The objects of an answer that are changed, from the first on. The others stay as they are."""

Mask = NDArray[np.bool_]


def improved(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    start: Sequence[PromptObject],
    truth: Mask,
    square: Mask,
    rounds: int,
    seed: Sequence[int],
) -> tuple[PromptObject, ...]:
    """Prompts whose mask has at least the IoU with the truth that the mask of ``start`` has.

    In each round, one object after the other is replaced by the best of its variants: a side of the box moved, the box
    made larger or smaller, a point moved to another position on the target (off the target for a negative point), or
    the object left out. The search stops after a round without improvement.

    Args:
        segmenter: the segmenter.
        embedding: the image.
        start: the objects to begin with, in pixels of ``square``.
        truth: bool (h, w), the mask that the IoU is counted with.
        square: bool (S, S), the target in the frame of the prompts.
        rounds: the most rounds.
        seed: of the positions that are tried for points.
    """
    rng = np.random.default_rng(list(seed))
    frame = Frame.square(square.shape[0])
    best = tuple(start)
    [best_iou] = _ious(segmenter, embedding, [best], truth, frame)
    for _ in range(rounds):
        before = best_iou
        for place in range(min(len(start), MOST_OBJECTS)):
            if place >= len(best):
                break
            candidates = [(*best[:place], other, *best[place + 1 :]) for other in variants(best[place], square, rng)]
            if len(best) > 1:
                candidates.append((*best[:place], *best[place + 1 :]))
            if not candidates:
                continue
            ious = _ious(segmenter, embedding, candidates, truth, frame)
            top = int(np.argmax(ious))
            if ious[top] > best_iou:
                best, best_iou = candidates[top], ious[top]
        if best_iou == before:
            break
    return best


def variants(item: PromptObject, square: Mask, rng: np.random.Generator) -> Iterator[PromptObject]:
    """The object with one side, its size or one point changed, in pixels of ``square``, bool (S, S)."""
    if item.bbox is not None:
        for box in _boxes(item.bbox, square.shape[0]):
            yield replace(item, bbox=box)
    for place in range(len(item.positive_points)):
        for point in _positions(square, item.bbox, rng):
            yield replace(item, positive_points=_with_point(item.positive_points, place, point))
    outside = ~square
    for place in range(len(item.negative_points)):
        for point in _positions(outside, item.bbox, rng):
            yield replace(item, negative_points=_with_point(item.negative_points, place, point))


def _with_point(points: tuple[Point, ...], place: int, point: Point) -> tuple[Point, ...]:
    return (*points[:place], point, *points[place + 1 :])


def _boxes(box: Box, side: int) -> Iterator[Box]:
    """The box with each side moved out and in, and the box at each scale, cut to the square of ``side`` pixels."""
    x0, y0, x1, y1 = box
    dx, dy = STEP * (x1 - x0), STEP * (y1 - y0)
    candidates: list[Box] = [
        (x0 - dx, y0, x1, y1),
        (x0 + dx, y0, x1, y1),
        (x0, y0 - dy, x1, y1),
        (x0, y0 + dy, x1, y1),
        (x0, y0, x1 - dx, y1),
        (x0, y0, x1 + dx, y1),
        (x0, y0, x1, y1 - dy),
        (x0, y0, x1, y1 + dy),
    ]
    for scale in SCALES:
        dx, dy = (scale - 1) / 2 * (x1 - x0), (scale - 1) / 2 * (y1 - y0)
        candidates.append((x0 - dx, y0 - dy, x1 + dx, y1 + dy))
    for left, top, right, bottom in candidates:
        inside = (_clipped(left, side), _clipped(top, side), _clipped(right, side), _clipped(bottom, side))
        if inside[0] < inside[2] and inside[1] < inside[3] and inside != box:
            yield inside


def _clipped(value: float, side: int) -> float:
    return float(min(max(value, 0), side))


def _positions(mask: Mask, box: Box | None, rng: np.random.Generator) -> list[Point]:
    """Random pixels of the mask, inside the box if there is one."""
    left, top, right, bottom = (0, 0, *mask.shape[::-1]) if box is None else map(int, box)
    ys, xs = np.nonzero(mask[top : bottom + 1, left : right + 1])
    if not xs.size:
        return []
    pixels = rng.integers(xs.size, size=POINTS)
    return [(float(xs[pixel] + left), float(ys[pixel] + top)) for pixel in pixels]


def _ious(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    prompt_sets: Sequence[Sequence[PromptObject]],
    truth: Mask,
    frame: Frame,
) -> list[float]:
    """The IoU of each prompt set's mask with the truth."""
    overlaps = segmenter.overlap(embedding, prompt_sets, truth, frame)
    return [intersection / union for intersection, union in overlaps]
