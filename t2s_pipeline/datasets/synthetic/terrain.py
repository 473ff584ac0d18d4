"""The ground without objects: noise, parcels with plough rows, roads and trees.

Smooth noise has 8 bits and is enlarged with integer resampling, and waves are triangular. So nothing depends on the
floating-point library of a machine, and a scene has the same pixels everywhere.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from t2s_pipeline.datasets.synthetic.channels import as_row, in_channels
from t2s_pipeline.datasets.synthetic.look import RGB, Range, Terrain


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A float between the bounds."""
    return bounds[0] + (bounds[1] - bounds[0]) * float(rng.random())


@lru_cache(maxsize=1024)
def direction(angle: float) -> tuple[float, float]:
    """Cosine and sine, rounded: they differ in their last bits between math libraries, and must not move a pixel."""
    return round(math.cos(angle), 6), round(math.sin(angle), 6)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Noise with features of `cell` pixels: float32 (height, width) within [-1, 1]."""
    rows, columns = int(height / cell) + 2, int(width / cell) + 2
    coarse = Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8))
    fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return fine.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)


def _paint_parcels(
    rng: np.random.Generator, terrain: Terrain, parcel: Range, height: int, width: int, unit: float
) -> np.ndarray:
    """Parcels with seams between them, all turned by one angle. Each has its own ground colour and rows."""
    labels, count, (cosine, sine) = _parcel_labels(rng, terrain, parcel, height, width, unit)
    palette = np.empty((count + 1, 3), np.float32)
    palette[0] = terrain.seam
    grounds = np.asarray(terrain.grounds, np.float32)
    palette[1:] = grounds[rng.integers(0, len(grounds), count)]
    palette[1:] *= 0.92 + 0.16 * rng.random((count, 1), dtype=np.float32)
    ground: np.ndarray = palette[labels]
    if terrain.rows:
        lengthwise = rng.integers(0, 2, count + 1).astype(np.float32)[labels]
        contrast = terrain.rows * rng.random(count + 1, dtype=np.float32)
        contrast[0] = 0
        y, x = np.ogrid[:height, :width]
        x, y = x.astype(np.float32), y.astype(np.float32)
        along, across = (
            x * np.float32(cosine) + y * np.float32(sine),
            y * np.float32(cosine) - x * np.float32(sine),
        )
        pitch = np.float32(max(3.0, unit * uniform(rng, (2.2, 4.0))))
        phase = (across + (along - across) * lengthwise) / pitch
        wave = np.abs(phase - np.floor(phase) - np.float32(0.5)) * np.float32(4) - np.float32(1)
        ground *= in_channels(1 + wave * contrast[labels])
    return ground


def _parcel_labels(
    rng: np.random.Generator, terrain: Terrain, parcel: Range, height: int, width: int, unit: float
) -> tuple[np.ndarray, int, tuple[float, float]]:
    """uint8 (height, width) with the number of each pixel's parcel, 0 on seams; how many parcels; their direction."""
    canvas = Image.new("L", (width, height), 0)  # 0 is the seam
    pen = ImageDraw.Draw(canvas)
    cosine, sine = direction(uniform(rng, (0, math.pi / 2)))
    reach = 0.75 * (height + width)
    half_seam = 0.5 * unit * uniform(rng, terrain.seam_width)
    count = 0
    low = -reach
    while low < reach:  # strips of different breadth, each cut into parcels of different length
        high = low + unit * uniform(rng, parcel)
        left = -reach + unit * uniform(rng, (0, parcel[1]))
        while left < reach:
            right = left + unit * uniform(rng, parcel) * 1.4
            corners = ((left, low), (right, low), (right, high), (left, high))
            middle = (left + right) / 2, (low + high) / 2
            outline = []
            for u, v in corners:
                u += half_seam if u < middle[0] else -half_seam
                v += half_seam if v < middle[1] else -half_seam
                outline.append((width / 2 + u * cosine - v * sine, height / 2 + u * sine + v * cosine))
            if (
                max(x for x, _ in outline) > 0
                and min(x for x, _ in outline) < width
                and max(y for _, y in outline) > 0
                and min(y for _, y in outline) < height
                and count < 255
            ):
                count += 1
                pen.polygon(outline, fill=count)
            left = right
        low = high
    return np.asarray(canvas), count, (cosine, sine)


def paint_ground(rng: np.random.Generator, terrain: Terrain, height: int, width: int, unit: float) -> np.ndarray:
    """The bare ground: float32 (height, width, 3), 0 to 255. `unit` is the number of pixels per unit of length."""
    if terrain.parcel:
        ground = _paint_parcels(rng, terrain, terrain.parcel, height, width, unit)
    else:
        first, second = (np.asarray(terrain.grounds[k], np.float32) for k in rng.permutation(len(terrain.grounds))[:2])
        share = np.clip(0.5 + 0.9 * smooth_noise(rng, height, width, unit * uniform(rng, (22, 45))), 0, 1)
        ground = as_row(first, width) + as_row(second - first, width) * in_channels(share.astype(np.float32))
    mottle = (
        0.42 * smooth_noise(rng, height, width, 28 * unit)
        + 0.3 * smooth_noise(rng, height, width, 9 * unit)
        + 0.32 * smooth_noise(rng, height, width, 2.4 * unit)
        + 0.3 * smooth_noise(rng, height, width, 1.1 * unit)
    )
    ground *= in_channels(1 + np.float32(terrain.mottle) * mottle)
    return ground


def scatter_trees(
    rng: np.random.Generator,
    terrain: Terrain,
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    unit: float,
    shadow: tuple[float, float],
) -> None:
    """Paint trees in loose groups on the ground. Objects are painted later and cover the trees below them."""
    width, height = size
    left = int(rng.integers(terrain.trees[0], terrain.trees[1] + 1))
    while left > 0:
        group = min(left, int(rng.integers(1, 9)))
        left -= group
        x, y = rng.random(2) * (width, height)
        spots = (rng.random((group, 2)) - 0.5) * unit * 5.0 * group**0.5 + (x, y)
        radii = unit * (1.3 + 1.9 * rng.random(group))
        tones = 0.8 + 0.4 * rng.random(group)
        dark = tuple(int(0.45 * c) for c in terrain.tree)
        for (a, b), r in zip(spots, radii, strict=True):
            a, b = a + shadow[0] * 0.8 * r, b + shadow[1] * 0.8 * r
            pen.ellipse((a - r, b - r, a + r, b + r), fill=dark)
        for (a, b), r, tone in zip(spots, radii, tones, strict=True):
            pen.ellipse((a - r, b - r, a + r, b + r), fill=tuple(int(c * tone) for c in terrain.tree))
            a, b, r = a - 0.3 * shadow[0] * r, b - 0.3 * shadow[1] * r, 0.5 * r
            pen.ellipse((a - r, b - r, a + r, b + r), fill=tuple(min(255, int(c * tone * 1.3)) for c in terrain.tree))


def paint_road(
    pen: ImageDraw.ImageDraw,
    ends: tuple[tuple[float, float], tuple[float, float]],
    breadth: float,
    colour: RGB,
    marked: bool,
) -> None:
    """Paint a straight road between two points in pixels. A marked road has a pale dashed line in the middle."""
    (ax, ay), (bx, by) = ends
    edge = tuple(int(0.82 * c) for c in colour)
    pen.line((ax, ay, bx, by), fill=edge, width=max(2, round(breadth * 1.3)))
    pen.line((ax, ay, bx, by), fill=colour, width=max(1, round(breadth)))
    if not marked:
        return
    length = math.hypot(bx - ax, by - ay)
    dash = breadth * 1.4
    for k in range(int(length / (2 * dash))):
        s, e = 2 * k * dash / length, (2 * k + 1) * dash / length
        pen.line(
            (ax + (bx - ax) * s, ay + (by - ay) * s, ax + (bx - ax) * e, ay + (by - ay) * e),
            fill=(208, 204, 190),
            width=max(1, round(breadth * 0.12)),
        )
