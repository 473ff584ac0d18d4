"""The ten categories: how large and how tall their objects are, and what surrounds them.

Lengths are in units: 1/168 of the canvas (the geometric mean of its sides).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t2s_pipeline.datasets.synthetic import objects
from t2s_pipeline.datasets.synthetic.brush import Point
from t2s_pipeline.datasets.synthetic.look import RGB
from t2s_pipeline.datasets.synthetic.shapes import blob, box, ellipse, rounded

# An outline must stay at least 18 of 168 pixels wide and high even where a canvas of aspect 1.4 is reduced
# into a square (a factor of 1.18), hence 22 units.
SMALLEST = 22.0


@dataclass(frozen=True)
class Kind:
    """The geometry of a category. `length` and `ratio` (breadth / length) are ranges; a `ratio` of None is a disc."""

    length: tuple[float, float]
    ratio: tuple[float, float] | None
    outline: Callable[[np.random.Generator, float, float], list[Point]]
    paint: Callable[[objects.Job], None]
    height: float = 0.0  # units; decides the length of the shadow
    skirt: tuple[float, RGB] | None = None  # (breadth in units, colour) of the ground around it
    grain: float = 0.04  # contrast of its surface
    together: bool = False  # several objects stand near each other, in one direction


def _disc(_: np.random.Generator, length: float, breadth: float) -> list[Point]:
    return ellipse(length, breadth)


def _box(_: np.random.Generator, length: float, breadth: float) -> list[Point]:
    return box(length, breadth)


def _stadium(_: np.random.Generator, length: float, breadth: float) -> list[Point]:
    return rounded(length, breadth, breadth / 2)


KINDS: dict[str, Kind] = {
    "storage_tank": Kind(
        (23, 33),
        None,
        _disc,
        objects.paint_storage_tank,
        height=7.0,
        skirt=(3.5, (168, 160, 144)),
        grain=0.03,
        together=True,
    ),
    "swimming_pool": Kind(
        (26, 37),
        (0.66, 0.9),
        lambda _, a, b: rounded(a, b, 0.28 * b),
        objects.paint_swimming_pool,
        skirt=(3.0, (176, 166, 148)),
        grain=0.03,
    ),
    "runway": Kind(
        (84, 130),
        (0.19, 0.24),
        _box,
        objects.paint_runway,
        skirt=(3.0, (118, 124, 84)),
        grain=0.05,
        together=True,
    ),
    "parking_lot": Kind(
        (44, 72),
        (0.6, 0.82),
        _box,
        objects.paint_parking_lot,
        skirt=(1.6, (150, 148, 140)),
        grain=0.05,
    ),
    "house": Kind(
        (27, 40),
        (0.66, 0.86),
        _box,
        objects.paint_house,
        height=4.5,
        skirt=(4.0, (112, 124, 76)),
        grain=0.05,
        together=True,
    ),
    "warehouse": Kind(
        (46, 76),
        (0.52, 0.76),
        _box,
        objects.paint_warehouse,
        height=6.0,
        skirt=(3.0, (126, 124, 120)),
        grain=0.03,
        together=True,
    ),
    "lake": Kind(
        (44, 78),
        (0.6, 0.95),
        blob,
        objects.paint_lake,
        skirt=(2.2, (96, 102, 66)),
        grain=0.05,
    ),
    "running_track": Kind(
        (58, 86),
        (0.55, 0.66),
        _stadium,
        objects.paint_running_track,
        skirt=(2.4, (116, 130, 80)),
        grain=0.04,
    ),
    "solar_farm": Kind(
        (44, 76),
        (0.6, 0.85),
        _box,
        objects.paint_solar_farm,
        skirt=(1.8, (150, 138, 110)),
        grain=0.05,
        together=True,
    ),
    "pivot_field": Kind(
        (38, 62),
        None,
        lambda _, a, b: ellipse(a, b, 64),
        objects.paint_pivot_field,
        grain=0.07,
        together=True,
    ),
}
