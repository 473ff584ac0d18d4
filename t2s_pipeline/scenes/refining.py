"""Every object of a tiled scene is segmented again in a view of its own, so that its mask does not depend on the tiles.

The view of an object follows from its prompt alone. It has the size of the segmenter's square at the resolution of the
search, or twice the object's longer side if that is more, and it lies on a grid. So neighbouring objects share views,
and a view is encoded once.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from t2s_pipeline.scenes.piece import SceneObject, box_around
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.view import SceneView

CONTEXT = 2.0
"""The side of an object's view is at least so many times the object's longer side."""

COARSEST = 4.0
"""An object whose view would be read at more than so many times the step of the search keeps the masks of its tiles,
which are finer."""

GRID = 8
"""A view lies at multiples of this part of the segmenter's square."""


def views_of_objects(
    objects: Sequence[SceneObject], size: tuple[int, int], side: int, factor: float
) -> Iterator[tuple[SceneView, list[int]]]:
    """The views in which objects are segmented again, and the indices of the objects of each.

    Args:
        objects: of the scene.
        size: of the scene, width and height.
        side: of the segmenter's square.
        factor: native pixels per pixel that the search reads.
    """
    groups: dict[SceneView, list[int]] = defaultdict(list)
    for index, item in enumerate(objects):
        view = view_around(extent(item.prompt, item.bounds), size, side, factor)
        if view is not None:
            groups[view].append(index)
    yield from sorted(groups.items(), key=lambda pair: (pair[0].y, pair[0].x, pair[0].width))


def extent(prompt: PromptObject, bounds: Box | None = None) -> Box:
    """The part of the scene that a prompt is about: its box, or a box around its points and the object's mask."""
    if prompt.bbox is not None:
        return prompt.bbox
    points = [(x, y, x, y) for x, y in prompt.positive_points]
    return box_around([*points, *([bounds] if bounds is not None else [])])


def view_around(
    box: Box, size: tuple[int, int], side: int, factor: float, coarsest: float = COARSEST
) -> SceneView | None:
    """The view of an object in that box; None if it would be too coarse."""
    longest = max(box[2] - box[0], box[3] - box[1])
    step = side * factor / GRID
    length = step * max(GRID, math.ceil(CONTEXT * longest / step))
    if length > coarsest * side * factor:
        return None
    x, width = _range(box[0], box[2], length, step, size[0])
    y, height = _range(box[1], box[3], length, step, size[1])
    scale = max(1.0, length / (side * factor)) * factor
    return SceneView(x, y, width, height, max(1, round(width / scale)), max(1, round(height / scale)))


def _range(low: float, high: float, length: float, step: float, limit: int) -> tuple[int, int]:
    """First position and length of a range on the grid that has the object in its middle and lies inside the scene."""
    start = round(((low + high - length) / 2) / step) * step
    whole = min(round(length), limit)
    return min(max(round(start), 0), limit - whole), whole
