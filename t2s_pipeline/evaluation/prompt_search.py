"""How good can prompts of a combination get? A small search around the labels.  [torch]

Coordinate ascent on the IoU with the truth, which no prompter knows: an upper bound found, not proved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from t2s_pipeline.segmenters.embedding import Embedding
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

STEP = 0.06
"""Of the box's sides: how far a side is moved."""
SCALES = (0.9, 1.1)
POINTS = 3
"""Other places tried for a point."""
MOST_OBJECTS = 6
"""Of an answer: those after them stay as they are."""


def improved(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    start: Sequence[PromptObject],
    truth: np.ndarray,
    square: np.ndarray,
    rounds: int,
    seed: Sequence[int],
) -> tuple[PromptObject, ...]:
    """Prompts that draw at least as much of the truth as ``start`` does.

    In each round, object after object is replaced by the best of its variants: a side of the box moved, the box made
    larger or smaller, a point put elsewhere on the target (or off it, for a negative one), the object left out.

    Args:
        truth: bool (h, w), what IoU is counted with.
        square: bool (S, S), the target in the frame of the prompts.
        seed: of the places that points are tried at.
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
            tried = [(*best[:place], other, *best[place + 1 :]) for other in variants(best[place], square, rng)]
            if len(best) > 1:
                tried.append((*best[:place], *best[place + 1 :]))
            if not tried:
                continue
            ious = _ious(segmenter, embedding, tried, truth, frame)
            top = int(np.argmax(ious))
            if ious[top] > best_iou:
                best, best_iou = tried[top], ious[top]
        if best_iou == before:
            break
    return best


def variants(item: PromptObject, square: np.ndarray, rng: np.random.Generator) -> Iterator[PromptObject]:
    """An object changed in one thing, in pixels of ``square`` (S, S)."""
    if item.bbox is not None:
        for box in _boxes(item.bbox, square.shape[0]):
            yield replace(item, bbox=box)
    for name, wanted in (("positive_points", square), ("negative_points", ~square)):
        points = getattr(item, name)
        for place in range(len(points)):
            for point in _places(wanted, item.bbox, rng):
                yield replace(item, **{name: (*points[:place], point, *points[place + 1 :])})


def _boxes(box: Box, side: int) -> Iterator[Box]:
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    moves = [(axis, sign * STEP * (wide if axis % 2 == 0 else high)) for axis in range(4) for sign in (-1, 1)]
    tried = [tuple(value + (by if at == axis else 0) for at, value in enumerate(box)) for axis, by in moves]
    for scale in SCALES:
        dx, dy = (scale - 1) / 2 * wide, (scale - 1) / 2 * high
        tried.append((x0 - dx, y0 - dy, x1 + dx, y1 + dy))
    for new in tried:
        inside = tuple(float(min(max(value, 0), side)) for value in new)
        if inside[0] < inside[2] and inside[1] < inside[3] and inside != box:
            yield inside


def _places(wanted: np.ndarray, box: Box | None, rng: np.random.Generator) -> list[Point]:
    """Pixels of ``wanted``, within the box where there is one."""
    left, top, right, bottom = (0, 0, *wanted.shape[::-1]) if box is None else map(int, box)
    ys, xs = np.nonzero(wanted[top : bottom + 1, left : right + 1])
    if not xs.size:
        return []
    chosen = rng.integers(xs.size, size=POINTS)
    return [(float(xs[at] + left), float(ys[at] + top)) for at in chosen]


def _ious(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    prompt_sets: Sequence[Sequence[PromptObject]],
    truth: np.ndarray,
    frame: Frame,
) -> list[float]:
    return [shared / either for shared, either in segmenter.overlap(embedding, prompt_sets, truth, frame)]
