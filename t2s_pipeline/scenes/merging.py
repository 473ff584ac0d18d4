"""Pieces of different views that show the same object become one object (union-find over overlaps)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from t2s_pipeline.scenes.piece import Piece, SceneObject, box_around, common, lattice
from t2s_pipeline.vision.geometry import Box, PromptObject

SAME = 0.3
"""Two pieces of different views are one object from this IoU on, measured where both views look. Both see the same
ground there, so the IoU of one object is high, however little of it lies there."""

SAME_ANSWER = 0.5
"""Two pieces of one view, or two whole objects, are one object from this IoU on."""

INSIDE = 0.8
"""An object of which this share lies inside a larger one is a part of it."""


def merged(pieces: Sequence[Piece], width: int, height: int) -> list[SceneObject]:
    """The objects that the pieces make, from top to bottom.

    Args:
        pieces: of all views.
        width: of the scene, in pixels.
        height: of the scene, in pixels.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    parents = list(range(len(pieces)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for one, other in neighbours([piece.bounds for piece in pieces]):
        first, second = root(one), root(other)
        if first != second and _same(pieces[one], pieces[other]):
            parents[max(first, second)] = min(first, second)
    for index in range(len(pieces)):
        groups[root(index)].append(index)
    return sorted(
        (_object([pieces[index] for index in group], width, height) for group in groups.values()),
        key=lambda item: (item.bounds[1], item.bounds[0]),
    )


def distinct(objects: Iterable[SceneObject]) -> list[SceneObject]:
    """The objects without those that are the same as a larger one, or lie inside it; from top to bottom."""
    ordered = sorted(objects, key=lambda item: -item.area)
    dropped: set[int] = set()
    for one, other in sorted(neighbours([item.bounds for item in ordered])):
        larger, smaller = min(one, other), max(one, other)
        if larger in dropped or smaller in dropped:
            continue
        shared, union, least = _overlap(ordered[larger], ordered[smaller], None)
        if shared >= SAME_ANSWER * union or shared >= INSIDE * least:
            dropped.add(smaller)
    remaining = [item for index, item in enumerate(ordered) if index not in dropped]
    return sorted(remaining, key=lambda item: (item.bounds[1], item.bounds[0]))


def overlaps(one: SceneObject, other: SceneObject, iou: float) -> bool:
    """Whether the masks of two objects have at least that IoU."""
    if common(one.bounds, other.bounds) is None:
        return False
    shared, union, _ = _overlap(one, other, None)
    return shared >= iou * union


def neighbours(boxes: Sequence[Box]) -> Iterator[tuple[int, int]]:
    """The pairs of boxes that share an area, each once, as indices."""
    if not boxes:
        return
    corners = np.array(boxes)
    order = np.argsort(corners[:, 0], kind="stable")
    lefts = corners[order, 0]
    for place, index in enumerate(order):
        end = np.searchsorted(lefts, corners[index, 2], side="left")
        candidates = order[place + 1 : end]
        low, high = corners[candidates, 1], corners[candidates, 3]
        for other in candidates[(low < corners[index, 3]) & (corners[index, 1] < high)]:
            yield min(int(index), int(other)), max(int(index), int(other))


def _same(one: Piece, other: Piece) -> bool:
    """Whether two pieces show the same object."""
    if one.view == other.view:
        shared, union, _ = _overlap(one, other, None)
        return shared >= SAME_ANSWER * union
    shared, union, _ = _overlap(one, other, common(one.view.box, other.view.box))
    return shared > 0 and shared >= SAME * union


def _overlap(one: Piece | SceneObject, other: Piece | SceneObject, where: Box | None) -> tuple[int, int, int]:
    """The positions in both masks, in at least one, and in the smaller one; counted on a lattice in ``where``."""
    around = box_around([one.bounds, other.bounds])
    region = around if where is None else common(around, where)
    if region is None:
        return 0, 1, 1
    xs, ys = lattice(region, max(1.0, _step(one), _step(other)))
    first, second = one.at(xs, ys), other.at(xs, ys)
    sizes = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    shared = int(np.count_nonzero(first & second))
    return shared, max(1, sum(sizes) - shared), max(1, min(sizes))


def _step(item: Piece | SceneObject) -> float:
    """The finest step of the masks, in pixels of the scene."""
    pieces = item.pieces if isinstance(item, SceneObject) else (item,)
    return min(max(piece.view.step) for piece in pieces)


def _object(pieces: list[Piece], width: int, height: int) -> SceneObject:
    """The object of pieces that belong together.

    If a view at the finest resolution shows all of the object, its piece alone is the object: of several views that in
    which it lies nearest to the centre. Otherwise all pieces are, with the prompt of a coarser view that shows all of
    it, or with all prompts together.
    """
    views = len({piece.view for piece in pieces})
    agreements = [piece.agreement for piece in pieces if piece.agreement is not None]
    agreement = sum(agreements) / len(agreements) if agreements else None
    finest = 1.01 * min(max(piece.view.step) for piece in pieces)
    whole = [piece for piece in pieces if not piece.is_cut(width, height)]
    sharp = [piece for piece in whole if max(piece.view.step) <= finest]
    best = min(sharp or whole or pieces, key=lambda piece: (_from_centre(piece), piece.view.y, piece.view.x))
    if sharp:
        return SceneObject((best,), best.prompt, best.score, agreement, views)
    score = sum(piece.score * piece.area for piece in pieces) / sum(piece.area for piece in pieces)
    prompt = best.prompt if whole else _joined([piece.prompt for piece in pieces])
    return SceneObject(tuple(pieces), prompt, score, agreement, views)


def _from_centre(piece: Piece) -> float:
    (x0, y0, x1, y1), (left, top, right, bottom) = piece.bounds, piece.view.box
    return max(abs(x0 + x1 - left - right), abs(y0 + y1 - top - bottom))


def _joined(prompts: list[PromptObject]) -> PromptObject:
    """One prompt for an object that several views show in part: a box around all boxes, and all positive points."""
    boxes = [item.bbox for item in prompts if item.bbox is not None]
    points = tuple(dict.fromkeys(point for item in prompts for point in item.positive_points))
    return PromptObject(box_around(boxes) if boxes else None, points)
