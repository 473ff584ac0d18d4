"""How an object of each category is painted, in its own frame (see `brush`). Its size is in `kinds`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from t2s_pipeline.datasets.synthetic.brush import Brush, Point, Spot
from t2s_pipeline.datasets.synthetic.look import RGB
from t2s_pipeline.datasets.synthetic.shapes import box, ellipse, rounded
from t2s_pipeline.datasets.synthetic.terrain import direction, uniform


def scaled(colour: RGB, factor: float) -> RGB:
    """The colour, brighter or darker."""
    red, green, blue = (max(0, min(255, int(value * factor))) for value in colour)
    return red, green, blue


@dataclass(frozen=True)
class Job:
    """One object to paint: its brush, colour, the sun, and the pixels of a unit."""

    rng: np.random.Generator
    brush: Brush
    colour: RGB
    unit: float
    outline: list[Point]
    sun: Point  # unit vector on the canvas that points away from the sun: where shadows fall

    @property
    def spot(self) -> Spot:
        """Where the object stands."""
        return self.brush.spot

    def lit(self, u: float, v: float) -> float:
        """How directly the sun shines on a slope that falls towards (u, v) in the object's frame, from -1 to 1."""
        x, y = u * self.spot.cosine - v * self.spot.sine, u * self.spot.sine + v * self.spot.cosine
        return -(x * self.sun[0] + y * self.sun[1])


def paint_storage_tank(job: Job) -> None:
    """A round tank with a domed roof and a ladder."""
    d = job.spot.length
    job.brush.outline(job.outline, scaled(job.colour, 0.78))
    # a domed roof: discs that move towards the sun as they brighten
    sun_u = -(job.sun[0] * job.spot.cosine + job.sun[1] * job.spot.sine)
    sun_v = -(job.sun[1] * job.spot.cosine - job.sun[0] * job.spot.sine)
    for k in range(5):
        job.brush.disc(
            (sun_u * d * 0.035 * k, sun_v * d * 0.035 * k),
            d * (0.46 - 0.075 * k),
            scaled(job.colour, 0.88 + 0.045 * k),
        )
    job.brush.line([(0, 0), (d * 0.46, 0)], scaled(job.colour, 0.7), 0.5 * job.unit)
    job.brush.disc((0, 0), d * 0.05, scaled(job.colour, 0.62))


def paint_swimming_pool(job: Job) -> None:
    """A pool with a pale rim and two lane lines."""
    a, b, rim = job.spot.length, job.spot.breadth, 1.9 * job.unit
    job.brush.outline(job.outline, (226, 220, 206))
    inner = (a - 2 * rim, b - 2 * rim)
    job.brush.polygon(rounded(*inner, 0.24 * inner[1]), scaled(job.colour, 0.86))
    job.brush.part(rounded(*inner, 0.24 * inner[1]))
    job.brush.polygon(
        [(u + 0.3 * rim, v + 0.3 * rim) for u, v in rounded(inner[0] * 0.9, inner[1] * 0.86, 0.22 * inner[1])],
        job.colour,
    )
    job.brush.polygon(box(inner[0] * 0.28, inner[1] * 0.8, -inner[0] * 0.3), scaled(job.colour, 1.12))
    for v in (-0.2, 0.2):
        job.brush.line([(-a * 0.4, v * b), (a * 0.4, v * b)], scaled(job.colour, 0.82), 0.4 * job.unit)


def paint_runway(job: Job) -> None:
    """A runway with centre line, threshold bars and rubber marks."""
    a, b, unit = job.spot.length, job.spot.breadth, job.unit
    white = (236, 236, 230)
    job.brush.outline(job.outline, scaled(job.colour, 0.86))
    job.brush.polygon(box(a, b * 0.84), job.colour)
    for _ in range(7):  # rubber left by wheels
        u, v = (job.rng.random(2) - 0.5) * (0.8 * a, 0.3 * b)
        job.brush.line([(u - 0.1 * a, v), (u + 0.1 * a, v)], scaled(job.colour, 0.85), 0.8 * unit)
    for v in (-0.4, 0.4):
        job.brush.line([(-a / 2, v * b), (a / 2, v * b)], white, 0.55 * unit)
    dash = 5.0 * unit
    count = max(2, int((a - 22 * unit) / (2 * dash)))
    for k in range(count):
        u = (k - (count - 1) / 2) * 2 * dash
        job.brush.polygon(box(dash, 1.7 * unit, u), white)
    for end in (-1, 1):  # threshold bars
        for k in range(5):
            job.brush.polygon(box(5.0 * unit, b * 0.085, end * (a / 2 - 4.5 * unit), (k - 2) * b * 0.155), white)


_CARS: tuple[RGB, ...] = (
    (222, 222, 224),
    (186, 40, 38),
    (44, 70, 140),
    (34, 34, 38),
    (150, 152, 156),
    (238, 238, 234),
    (196, 160, 60),
    (30, 92, 78),
)


def paint_parking_lot(job: Job) -> None:
    """Rows of stalls, some with a car."""
    a, b, unit, rng = job.spot.length, job.spot.breadth, job.unit, job.rng
    job.brush.outline(job.outline, job.colour)
    aisle, stall, depth = 5.0 * unit, 3.1 * unit, 5.4 * unit
    rows = max(2, round((b - aisle / 2) / (depth + aisle * 0.62)))
    pitch = (b - 1.6 * unit) / rows
    depth = min(depth, pitch * 0.68)
    columns = int((a - 3 * unit) / stall)
    for row in range(rows):
        v = (row - (rows - 1) / 2) * pitch
        full = uniform(rng, (0.55, 0.95))
        for column in range(columns + 1):
            u = (column - columns / 2) * stall
            job.brush.line([(u, v - depth / 2), (u, v + depth / 2)], (206, 206, 200), 0.3 * unit)
        colours = rng.integers(0, len(_CARS), columns)
        taken = rng.random(columns) < full
        for column in range(columns):
            if taken[column]:
                u = (column - (columns - 1) / 2) * stall
                colour = _CARS[colours[column]]
                job.brush.polygon(box(stall * 0.66, depth * 0.86, u, v), colour)
                job.brush.part(box(stall * 0.66, depth * 0.86, u, v))
                job.brush.polygon(box(stall * 0.5, depth * 0.2, u, v - depth * 0.14), scaled(colour, 0.5))


def paint_house(job: Job) -> None:
    """A gable roof of two slopes with rows of tiles, and a chimney."""
    a, b = job.spot.length, job.spot.breadth
    job.brush.outline(job.outline, job.colour)
    for side in (-1, 1):  # two slopes, one in the sun
        tone = 0.96 + 0.26 * job.lit(0, side)
        job.brush.polygon(box(a, b / 2, 0, side * b / 4), scaled(job.colour, tone))
        for k in range(1, 5):  # rows of tiles
            v = side * b * 0.1 * k
            job.brush.line([(-a / 2, v), (a / 2, v)], scaled(job.colour, tone * 0.88), 0.3 * job.unit)
    job.brush.line([(-a / 2, 0), (a / 2, 0)], scaled(job.colour, 1.35), 0.8 * job.unit)
    u = a * uniform(job.rng, (-0.3, 0.3))
    job.brush.polygon(box(2.6 * job.unit, 2.6 * job.unit, u, b * 0.2), (92, 84, 80))
    job.brush.polygon(box(1.2 * job.unit, 1.2 * job.unit, u, b * 0.2), (40, 36, 36))


def paint_warehouse(job: Job) -> None:
    """A flat roof with ridges, vents and skylights."""
    a, b, unit = job.spot.length, job.spot.breadth, job.unit
    job.brush.outline(job.outline, scaled(job.colour, 0.82))
    job.brush.polygon(box(a - 1.6 * unit, b - 1.6 * unit), job.colour)
    ridges = max(3, round(a / (5.5 * unit)))
    for k in range(ridges):
        u = ((k + 0.5) / ridges - 0.5) * (a - 1.6 * unit)
        job.brush.line([(u, -b / 2 + unit), (u, b / 2 - unit)], scaled(job.colour, 0.87), 0.6 * unit)
        job.brush.line(
            [(u + 0.8 * unit, -b / 2 + unit), (u + 0.8 * unit, b / 2 - unit)],
            scaled(job.colour, 1.1),
            0.5 * unit,
        )
    for _ in range(int(job.rng.integers(2, 6))):  # vents and skylights
        u, v = (job.rng.random(2) - 0.5) * (a * 0.8, b * 0.7)
        job.brush.polygon(box(3 * unit, 2.2 * unit, u, v), (122, 128, 136))


def paint_lake(job: Job) -> None:
    """A lake, darker towards the middle."""
    job.brush.outline(job.outline, scaled(job.colour, 1.35))
    for k, tone in enumerate((1.15, 1.0, 0.9, 0.82)):  # deeper towards the middle
        f = 0.95 - 0.12 * k
        job.brush.polygon([(u * f, v * f) for u, v in job.outline], scaled(job.colour, tone))


def paint_running_track(job: Job) -> None:
    """A track with lanes around mown grass."""
    a, b, unit = job.spot.length, job.spot.breadth, job.unit
    lanes = 0.19 * b
    job.brush.outline(job.outline, job.colour)
    for k in range(1, 4):
        w = lanes * k / 4
        ring = rounded(a - 2 * w, b - 2 * w, b / 2 - w)
        job.brush.line([*ring, ring[0]], (226, 190, 176), 0.28 * unit)
    a, b = a - 2 * lanes, b - 2 * lanes
    job.brush.polygon(rounded(a, b, b / 2), (98, 144, 72))
    job.brush.hole(rounded(a, b, b / 2))
    stripes = 6
    for k in range(0, stripes, 2):  # mown grass
        u = ((k + 0.5) / stripes - 0.5) * (a - b)
        job.brush.polygon(box((a - b) / stripes, b, u), (112, 156, 80))
    job.brush.line([(0, -b / 2), (0, b / 2)], (220, 226, 212), 0.4 * unit)


def paint_solar_farm(job: Job) -> None:
    """Rows of solar panels."""
    a, b, unit = job.spot.length, job.spot.breadth, job.unit
    job.brush.outline(job.outline, (138, 130, 104))
    rows = max(3, round(b / (6.4 * unit)))
    pitch = b / rows
    tables = max(2, round(a / (15 * unit)))
    for row in range(rows):
        v = ((row + 0.5) / rows - 0.5) * b
        for table in range(tables):
            u = ((table + 0.5) / tables - 0.5) * a
            length = a / tables - 1.1 * unit
            job.brush.polygon(box(length, pitch * 0.74, u, v), job.colour)
            job.brush.part(box(length, pitch * 0.74, u, v))
            job.brush.line([(u - length / 2, v), (u + length / 2, v)], scaled(job.colour, 1.7), 0.3 * unit)
            for k in range(1, 4):
                w = u + (k / 4 - 0.5) * length
                job.brush.line([(w, v - pitch * 0.37), (w, v + pitch * 0.37)], scaled(job.colour, 1.55), 0.25 * unit)


def paint_pivot_field(job: Job) -> None:
    """A round irrigated field with wheel tracks."""
    d = job.spot.length
    job.brush.outline(job.outline, job.colour)
    cut = uniform(job.rng, (0.15, 0.5))
    if job.rng.random() < 0.5:  # part of the circle at another stage of growth
        wedge = [(d / 2 * c, d / 2 * s) for c, s in (direction(2 * math.pi * cut * k / 16) for k in range(17))]
        job.brush.polygon([(0, 0), *wedge], scaled(job.colour, uniform(job.rng, (0.82, 0.9))))
    for k in range(1, 7):  # wheel tracks
        ring = ellipse(d * k / 7, d * k / 7)
        job.brush.line([*ring, ring[0]], scaled(job.colour, 0.86), 0.35 * job.unit)
    job.brush.line([(0, 0), (d / 2, 0)], (216, 214, 190), 1.0 * job.unit)
    job.brush.disc((0, 0), 1.6 * job.unit, (196, 184, 150))
