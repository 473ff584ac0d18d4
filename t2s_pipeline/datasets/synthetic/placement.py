"""Which category is asked about, how many objects there are, and where each object stands."""

from __future__ import annotations

import math

import numpy as np

from t2s_pipeline.datasets.synthetic.brush import Point, Spot
from t2s_pipeline.datasets.synthetic.kinds import KINDS, SMALLEST
from t2s_pipeline.datasets.synthetic.look import Look
from t2s_pipeline.datasets.synthetic.queries import CATEGORIES
from t2s_pipeline.datasets.synthetic.terrain import direction, uniform

Placed = tuple[str, Spot]
"""A category and where its object stands."""
Ends = tuple[Point, Point]

_GAP = 5.0  # units between objects
_CROWDING = (1.0, 0.86, 0.74, 0.66)  # size of each of 1, 2, 3, 4 objects of a category


class _Placement:
    """Finds free room for objects, one after another."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, unit: float, scale: float) -> None:
        self.rng, self.width, self.height, self.unit, self.scale = rng, width, height, unit, scale
        # a gap that remains when the longer side is reduced to that of the square
        self.gap = _GAP * max(width, height) / 168
        self.placed: list[Placed] = []

    def _sizes(self, category: str, crowding: float) -> tuple[float, float]:
        kind = KINDS[category]
        length = max(SMALLEST, uniform(self.rng, kind.length) * crowding * self.scale)
        breadth = max(SMALLEST, length * uniform(self.rng, kind.ratio)) if kind.ratio else length
        return max(length, breadth) * self.unit, breadth * self.unit

    def _free(self, spot: Spot) -> bool:
        half_width, half_height = spot.reach(1.5 * self.unit)
        inside = half_width <= spot.x <= self.width - half_width and half_height <= spot.y <= self.height - half_height
        return inside and all(spot.apart(other, self.gap) for _, other in self.placed)

    def add(self, category: str, count: int) -> bool:
        """Place `count` objects of one category. False, and nothing changed, if one of them has no room."""
        before = list(self.placed)
        rng = self.rng
        turn = uniform(rng, (0, math.pi))
        sizes = self._sizes(category, _CROWDING[count - 1])
        spots: list[Spot] = []
        for _ in range(count):
            if not (KINDS[category].together and spots):
                turn = uniform(rng, (0, math.pi))
                sizes = self._sizes(category, _CROWDING[count - 1])
            cosine, sine = direction(turn)
            for attempt in range(24):
                if KINDS[category].together and spots and attempt < 12:  # side by side first, then anywhere
                    c, s = direction(uniform(rng, (0, 2 * math.pi)))
                    away = (max(sizes) if attempt % 2 else min(sizes)) + self.gap * uniform(rng, (1.0, 2.5))
                    x, y = spots[-1].x + c * away, spots[-1].y + s * away
                else:
                    x, y = float(rng.random()) * self.width, float(rng.random()) * self.height
                spot = Spot(x, y, *sizes, cosine, sine)
                if self._free(spot):
                    self.placed.append((category, spot))
                    spots.append(spot)
                    break
            else:
                self.placed = before
                return False
        return True


def _how_many(rng: np.random.Generator, look: Look) -> int:
    return 1 + int(np.searchsorted(np.cumsum(look.instance_shares[:3]), rng.random(), side="right"))


def compose(rng: np.random.Generator, look: Look, width: int, height: int, unit: float) -> tuple[str, list[Placed]]:
    """The category that is asked about, and every object's category and spot."""
    order = [CATEGORIES[k] for k in rng.permutation(len(CATEGORIES))]
    asked, others = order[0], order[1:]
    empty = rng.random() < look.empty_share
    kinds = int(rng.integers(2, 5))
    count = _how_many(rng, look)
    other_kinds = kinds if empty else kinds - 1
    while True:  # the asked objects are always placed: a try without room is dropped, and the next has smaller objects
        placement = _Placement(rng, width, height, unit, look.object_scale)
        for attempt in range(40):
            if empty or placement.add(asked, count):
                break
            placement.scale = look.object_scale * (1 - 0.012 * attempt)
        else:
            continue
        shown = 0
        for category in others:
            if shown == other_kinds:
                break
            several = _how_many(rng, look)
            shown += any(placement.add(category, n) for n in ((several, 1) if several > 1 else (1, 1)))
        if shown >= (2 if empty else 1):
            return asked, placement.placed


def find_roads(
    rng: np.random.Generator, placed: list[Placed], width: int, height: int, unit: float
) -> list[tuple[Ends, float]]:
    """Up to two straight roads from edge to edge that touch no object, as (ends, breadth) in pixels."""
    roads: list[tuple[Ends, float]] = []
    for _ in range(14):
        if len(roads) == 2:
            break
        breadth = unit * uniform(rng, (2.4, 5.0))
        c, s = direction(uniform(rng, (0, math.pi)))
        reach = width + height
        x, y = float(rng.random()) * width, float(rng.random()) * height
        road = Spot(x, y, 2 * reach, breadth, c, s)
        if all(road.apart(spot, 1.5 * unit) for _, spot in placed):
            roads.append((((x - c * reach, y - s * reach), (x + c * reach, y + s * reach)), breadth))
    return roads
