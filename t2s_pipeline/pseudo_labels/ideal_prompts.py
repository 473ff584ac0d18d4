"""A labelled instance in the paper's prompt combinations (Table 6): which points a perfect prompter would give."""

from collections.abc import Sequence

import numpy as np

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.pseudo_labels.label import tight_box
from t2s_pipeline.pseudo_labels.seg_zero import interior_points
from t2s_pipeline.vision.geometry import Point, PromptObject

RIM = 0.1
"""Of the box's sides: how far around the box negative points may lie."""


def combined(
    instances: Sequence[np.ndarray], square: np.ndarray, combinations: Sequence[PromptCombination]
) -> dict[str, tuple[PromptObject, ...]]:
    """By combination, the prompts of instances, bool (side, side), of the mask ``square``, in pixels of that square.

    Positive points follow Seg-Zero's rule on the instance; negative ones the same rule on what is not target in and
    just around its box. Where everything there is target, an object has no negative points.
    """
    most = max(combination.positive_points for combination in combinations)
    most_negative = max(combination.negative_points for combination in combinations)
    found: dict[str, list[PromptObject]] = {combination.name: [] for combination in combinations}
    for instance in instances:
        box = tight_box(instance)
        # Fewer points are the first of more: each is chosen after those before it.
        positive = tuple(map(_point, interior_points(instance, most)))
        negative = tuple(map(_point, outside_points(square, box, most_negative))) if most_negative else ()
        for combination in combinations:
            found[combination.name].append(
                PromptObject(
                    tuple(map(float, box)) if combination.has_box else None,
                    positive[: combination.positive_points],
                    negative[: combination.negative_points],
                )
            )
    return {name: tuple(items) for name, items in found.items()}


def outside_points(square: np.ndarray, box: tuple[int, int, int, int], count: int) -> tuple[tuple[int, int], ...]:
    """``count`` points off the mask (side, side), in a box and a tenth of it around; none where there are none."""
    x0, y0, x1, y1 = box
    wide, high = (max(2, round(RIM * (last - first + 1))) for first, last in ((x0, x1), (y0, y1)))
    left, top = max(0, x0 - wide), max(0, y0 - high)
    around = ~square[top : y1 + high + 1, left : x1 + wide + 1]
    if not around.any():
        return ()
    return tuple((x + left, y + top) for x, y in interior_points(around, count))


def _point(point: tuple[int, int]) -> Point:
    return float(point[0]), float(point[1])
