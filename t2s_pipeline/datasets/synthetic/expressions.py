"""Expressions that name one object of a scene by category, colour and place: "the left one of the two white tanks"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from t2s_pipeline.datasets.synthetic.scenes import Instance, Scene

COLOURS = {
    "white": (232, 232, 228),
    "grey": (150, 150, 150),
    "black": (36, 36, 40),
    "red": (176, 60, 48),
    "orange": (206, 130, 60),
    "yellow": (206, 190, 90),
    "green": (88, 132, 66),
    "turquoise": (70, 170, 180),
    "blue": (50, 86, 156),
    "brown": (124, 92, 66),
    "beige": (196, 178, 146),
}
"""Names of colours, by a typical value in red, green and blue."""

NUMBERS = {2: "two", 3: "three", 4: "four"}


def expression(scene: Scene, rng: np.random.Generator) -> tuple[Instance, str]:
    """An object of the scene, and words that mean this object and no other.

    The category is chosen at random, then the object. Among several of a category, its place tells it apart: the
    leftmost, rightmost, topmost or bottommost, along the axis on which they lie farther apart.
    """
    by_category: dict[str, list[Instance]] = {}
    for instance in scene.instances:
        by_category.setdefault(instance.category, []).append(instance)
    category = sorted(by_category)[int(rng.integers(len(by_category)))]
    group = by_category[category]
    noun = category.replace("_", " ")
    if len(group) == 1:
        colour = colour_of(scene.image, group)
        place = quarter(centre(group[0].mask), scene.image.shape[:2])
        return group[0], f"the {colour} {noun} {place}" if rng.random() < 0.5 else f"the {noun} {place}"
    centres = np.array([centre(instance.mask) for instance in group])
    axis = int(np.ptp(centres[:, 1]) < np.ptp(centres[:, 0]))  # 0: along x, 1: along y
    order = np.argsort(centres[:, 1 - axis], kind="stable")
    last = bool(rng.integers(2))
    chosen = group[int(order[-1 if last else 0])]
    words = (("left", "right"), ("upper", "lower"))[axis][last]
    if len(group) > 2:
        words = (("leftmost", "rightmost"), ("topmost", "bottommost"))[axis][last]
    colour = colour_of(scene.image, group)
    return chosen, f"the {words} one of the {NUMBERS[len(group)]} {colour} {noun}s"


def centre(mask: np.ndarray) -> tuple[float, float]:
    """Row and column of the centroid of a mask, bool (H, W)."""
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def colour_of(image: np.ndarray, group: list[Instance]) -> str:
    """The name of the colour that is nearest to the median colour of the objects' pixels."""
    pixels = np.concatenate([image[instance.mask] for instance in group])
    median = np.median(pixels, axis=0)
    return min(COLOURS, key=lambda name: float(np.abs(median - np.array(COLOURS[name])).sum()))


def quarter(place: tuple[float, float], shape: tuple[int, int]) -> str:
    """Where a place (row, column) lies in an image: in one of its four quarters."""
    vertical = "upper" if place[0] < shape[0] / 2 else "lower"
    horizontal = "left" if place[1] < shape[1] / 2 else "right"
    return f"in the {vertical} {horizontal}"
