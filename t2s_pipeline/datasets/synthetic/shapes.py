"""Outlines in an object's own frame: its centre at the origin, u along its length and v along its breadth."""

from __future__ import annotations

import math

import numpy as np

from t2s_pipeline.datasets.synthetic.brush import Point
from t2s_pipeline.datasets.synthetic.terrain import direction


def box(length: float, breadth: float, u: float = 0.0, v: float = 0.0) -> list[Point]:
    """Corners of a rectangle around (u, v)."""
    a, b = length / 2, breadth / 2
    return [(u - a, v - b), (u + a, v - b), (u + a, v + b), (u - a, v + b)]


def ellipse(length: float, breadth: float, points: int = 40) -> list[Point]:
    """An ellipse as a polygon; a disc where length and breadth are equal."""
    around = (direction(2 * math.pi * k / points) for k in range(points))
    return [(length / 2 * c, breadth / 2 * s) for c, s in around]


def rounded(length: float, breadth: float, radius: float) -> list[Point]:
    """A rectangle with round corners; radius = breadth / 2 gives a stadium."""
    corners = ((1, 1, 0), (-1, 1, 1), (-1, -1, 2), (1, -1, 3))
    points = []
    for across, down, quarter in corners:
        for k in range(7):
            c, s = direction(math.pi / 2 * (quarter + k / 6))
            points.append((across * (length / 2 - radius) + radius * c, down * (breadth / 2 - radius) + radius * s))
    return points


def blob(rng: np.random.Generator, length: float, breadth: float) -> list[Point]:
    """A smooth irregular outline that touches all four sides of its box."""
    phases = 2 * math.pi * rng.random(4)
    weights = (0.16, 0.11, 0.07, 0.04) * (0.5 + rng.random(4))
    points = []
    for k in range(56):
        angle = 2 * math.pi * k / 56
        radius = 1 + sum(w * direction(n * angle + p)[0] for n, w, p in zip((2, 3, 4, 6), weights, phases, strict=True))
        c, s = direction(angle)
        points.append((radius * c, radius * s))
    us, vs = [u for u, _ in points], [v for _, v in points]
    return [
        (
            (u - min(us)) / (max(us) - min(us)) * length - length / 2,
            (v - min(vs)) / (max(vs) - min(vs)) * breadth - breadth / 2,
        )
        for u, v in points
    ]
