"""A labelled instance in the paper's prompt combinations (Table 6): the prompts that a perfect prompter would give."""

from collections.abc import Sequence

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.pseudo_labels.label import Mask, Pixel, PixelBox, tight_box
from t2s_pipeline.pseudo_labels.seg_zero import interior_points
from t2s_pipeline.vision.geometry import Point, PromptObject

RIM = 0.1
"""Of the box's sides: how far around the box negative points may lie."""

SEARCH = "search"
"""Stands beside the methods in the table ``label_quality``: the best prompts that a search around the labels finds."""


def ideal_prompts(
    instances: Sequence[Mask], square: Mask, combinations: Sequence[PromptCombination]
) -> dict[str, tuple[PromptObject, ...]]:
    """The prompts of instances in several combinations, in pixels of the square.

    Positive points follow Seg-Zero's rule on the instance. Negative points follow the same rule on the pixels in and
    just around its box that are no target. Where all of these are target, an object has no negative points.

    Args:
        instances: bool (side, side) each.
        square: the whole mask that they are parts of, bool (side, side).
        combinations: the prompt combinations to use.

    Returns:
        By the name of the combination, one object per instance.
    """
    most = max(combination.positive_points for combination in combinations)
    most_negative = max(combination.negative_points for combination in combinations)
    prompts: dict[str, list[PromptObject]] = {combination.name: [] for combination in combinations}
    for instance in instances:
        box = tight_box(instance)
        # Fewer points are the first of more points: each point is selected after those before it.
        positive = tuple(map(_point, interior_points(instance, most)))
        negative = tuple(map(_point, outside_points(square, box, most_negative))) if most_negative else ()
        for combination in combinations:
            x0, y0, x1, y1 = map(float, box)
            prompts[combination.name].append(
                PromptObject(
                    (x0, y0, x1, y1) if combination.has_box else None,
                    positive[: combination.positive_points],
                    negative[: combination.negative_points],
                )
            )
    return {name: tuple(objects) for name, objects in prompts.items()}


def outside_points(square: Mask, box: PixelBox, count: int) -> tuple[Pixel, ...]:
    """``count`` pixels off the mask (side, side), in the box and a tenth of it around; none if all there is mask."""
    x0, y0, x1, y1 = box
    wide, high = (max(2, round(RIM * (last - first + 1))) for first, last in ((x0, x1), (y0, y1)))
    left, top = max(0, x0 - wide), max(0, y0 - high)
    around = ~square[top : y1 + high + 1, left : x1 + wide + 1]
    if not around.any():
        return ()
    return tuple((x + left, y + top) for x, y in interior_points(around, count))


def _point(point: Pixel) -> Point:
    return float(point[0]), float(point[1])
