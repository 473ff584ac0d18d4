"""A scene: what stands where, painted under one sun, and what is asked about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from t2s_pipeline.datasets.synthetic.brush import Brush, Spot
from t2s_pipeline.datasets.synthetic.look import EMBEDDED, Look
from t2s_pipeline.datasets.synthetic.objects import KINDS, SMALLEST, Job
from t2s_pipeline.datasets.synthetic.queries import CATEGORIES, draw_answers, draw_questions
from t2s_pipeline.datasets.synthetic.terrain import (
    direction,
    draw_road,
    paint_ground,
    scatter_trees,
    smooth_noise,
    uniform,
)

_GAP = 5.0  # units between objects
_CROWDING = (1.0, 0.86, 0.74, 0.66)  # size of each of 1, 2, 3, 4 objects of a category


@dataclass(frozen=True)
class Instance:
    """One object: its category and mask, bool (H, W), native pixels of the whole canvas."""

    category: str
    mask: np.ndarray


@dataclass(frozen=True)
class Scene:
    """An overhead image with a question about one category."""

    image: np.ndarray  # uint8 (H, W, 3)
    instances: tuple[Instance, ...]  # every object of every category visible in the scene
    category: str  # the one asked about
    questions: tuple[str, ...]
    answers: tuple[str, ...]  # empty where the category is absent

    @property
    def targets(self) -> tuple[Instance, ...]:
        """The objects asked about; none where the category is absent."""
        return tuple(i for i in self.instances if i.category == self.category)

    @property
    def mask(self) -> np.ndarray:
        """Union of the targets, bool (H, W)."""
        union = np.zeros(self.image.shape[:2], bool)
        for target in self.targets:
            union |= target.mask
        return union


class _Plan:
    """Finds room for objects, one after another."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, unit: float, scale: float) -> None:
        self.rng, self.width, self.height, self.unit, self.scale = rng, width, height, unit, scale
        # a gap that is still there when the longer side is squeezed into the square
        self.gap = _GAP * max(width, height) / 168
        self.placed: list[tuple[str, Spot]] = []

    def _sizes(self, category: str, crowding: float) -> tuple[float, float]:
        kind = KINDS[category]
        length = max(SMALLEST, uniform(self.rng, kind.length) * crowding * self.scale)
        breadth = max(SMALLEST, length * uniform(self.rng, kind.ratio)) if kind.ratio else length
        return max(length, breadth) * self.unit, breadth * self.unit

    def _free(self, spot: Spot) -> bool:
        half_width, half_height = spot.reach(1.5 * self.unit)
        inside = (
            half_width <= spot.x <= self.width - half_width
            and half_height <= spot.y <= self.height - half_height
        )
        return inside and all(spot.apart(other, self.gap) for _, other in self.placed)

    def add(self, category: str, count: int) -> bool:
        """Place `count` objects of one category, all or none."""
        before = list(self.placed)
        rng = self.rng
        turn = uniform(rng, (0, math.pi))
        sizes = self._sizes(category, _CROWDING[count - 1])
        mine: list[Spot] = []
        for _ in range(count):
            if not (KINDS[category].together and mine):
                turn = uniform(rng, (0, math.pi))
                sizes = self._sizes(category, _CROWDING[count - 1])
            cosine, sine = direction(turn)
            for attempt in range(24):
                if KINDS[category].together and mine and attempt < 12:  # side by side first, then anywhere
                    c, s = direction(uniform(rng, (0, 2 * math.pi)))
                    away = (max(sizes) if attempt % 2 else min(sizes)) + self.gap * uniform(rng, (1.0, 2.5))
                    x, y = mine[-1].x + c * away, mine[-1].y + s * away
                else:
                    x, y = float(rng.random()) * self.width, float(rng.random()) * self.height
                spot = Spot(x, y, *sizes, cosine, sine)
                if self._free(spot):
                    self.placed.append((category, spot))
                    mine.append(spot)
                    break
            else:
                self.placed = before
                return False
        return True


def _how_many(rng: np.random.Generator, look: Look) -> int:
    return 1 + int(np.searchsorted(np.cumsum(look.instance_shares[:3]), rng.random(), side="right"))


def _compose(rng: np.random.Generator, look: Look, width: int, height: int, unit: float) -> tuple[str, list]:
    """The asked category and every object's place."""
    order = [CATEGORIES[k] for k in rng.permutation(len(CATEGORIES))]
    asked, others = order[0], order[1:]
    empty = rng.random() < look.empty_share
    kinds = int(rng.integers(2, 5))
    count = _how_many(rng, look)
    wanted = kinds if empty else kinds - 1
    while True:  # the asked objects never go missing: a crowded try is dropped whole, and the next is smaller
        plan = _Plan(rng, width, height, unit, look.object_scale)
        for attempt in range(40):
            if empty or plan.add(asked, count):
                break
            plan.scale = look.object_scale * (1 - 0.012 * attempt)
        else:
            continue
        shown = 0
        for category in others:
            if shown == wanted:
                break
            several = _how_many(rng, look)
            shown += any(plan.add(category, n) for n in ((several, 1) if several > 1 else (1, 1)))
        if shown >= (2 if empty else 1):
            return asked, plan.placed


def _roads(rng: np.random.Generator, plan: list, width: int, height: int, unit: float) -> list:
    """Up to two straight roads from edge to edge that touch no object: [(ends, breadth)]."""
    found = []
    for _ in range(14):
        if len(found) == 2:
            break
        breadth = unit * uniform(rng, (2.4, 5.0))
        c, s = direction(uniform(rng, (0, math.pi)))
        reach = width + height
        x, y = float(rng.random()) * width, float(rng.random()) * height
        road = Spot(x, y, 2 * reach, breadth, c, s)
        if all(road.apart(spot, 1.5 * unit) for _, spot in plan):
            found.append((((x - c * reach, y - s * reach), (x + c * reach, y + s * reach)), breadth))
    return found


def _expose(rng: np.random.Generator, look: Look, canvas: np.ndarray) -> np.ndarray:
    """Light, haze, sensor noise and optics: float32 (H, W, 3) to uint8."""
    height, width = canvas.shape[:2]
    gains = [uniform(rng, bounds) for bounds in look.gain]
    gains = np.asarray(gains, np.float32) * np.float32(uniform(rng, look.brightness))
    haze = np.float32(uniform(rng, look.haze))
    light = 1 + np.float32(0.07) * smooth_noise(rng, height, width, max(height, width) / 1.6)
    canvas *= light[..., None]
    canvas *= gains * (1 - haze)
    canvas += haze * np.asarray(look.haze_colour, np.float32)
    grain = np.float32(uniform(rng, look.grain) / 255)
    noise = rng.integers(0, 256, (2, height, width), dtype=np.uint8).astype(np.float32)
    canvas += ((noise[0] + noise[1] - 255) * grain)[..., None]
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    image = np.asarray(image.filter(ImageFilter.GaussianBlur(uniform(rng, look.blur))))
    return image & np.uint8(0xFE)  # 7 bits: the last one is noise, and PNG pays for it


def draw_scene(
    rng: np.random.Generator, look: Look = EMBEDDED, side: int | None = None, held_out_questions: bool = False
) -> Scene:
    """Draw the next scene of a generator; equal generator states give equal scenes.

    side: force a square canvas of that many pixels; else each side is between about 224 and 448 px with an
    aspect of at most 1.4. held_out_questions: mix in wordings that the train split never sees.
    """
    if side is None:
        area_side, stretch = uniform(rng, (246, 374)), uniform(rng, (1.0, 1.4)) ** 0.5
        width, height = round(area_side * stretch), round(area_side / stretch)
        if rng.random() < 0.5:
            width, height = height, width
    else:
        width = height = side
    unit = math.sqrt(width * height) / 168
    asked, placed = _compose(rng, look, width, height, unit)
    terrain = look.terrains[int(rng.integers(len(look.terrains)))]
    sun = direction(uniform(rng, (0, 2 * math.pi)))
    reach, depth = uniform(rng, look.shadow_length), uniform(rng, look.shadow_depth)

    ground = np.clip(paint_ground(rng, terrain, height, width, unit), 0, 255).astype(np.uint8)
    picture = Image.fromarray(ground)
    pen = ImageDraw.Draw(picture)
    for ends, breadth in _roads(rng, placed, width, height, unit):
        draw_road(pen, ends, breadth, terrain.road, marked=breadth > 3.4 * unit)
    scatter_trees(rng, terrain, pen, (width, height), unit, sun)
    canvas = np.asarray(picture).astype(np.float32)

    jobs = []
    for category, spot in placed:
        kind = KINDS[category]
        colours = look.colours[category]
        brush = Brush(
            spot, (width, height), margin=(2 + reach * kind.height + (kind.skirt or (0,))[0]) * unit
        )
        outline = kind.outline(rng, spot.length, spot.breadth)
        base = np.asarray(colours[int(rng.integers(len(colours)))]) * uniform(rng, (0.93, 1.07))
        colour = tuple(int(c) for c in np.clip(base, 0, 255))
        jobs.append((category, Job(rng, brush, colour, unit, outline, sun)))
    for category, job in jobs:  # worked ground first, then all shadows, then all objects: none hides another
        if KINDS[category].skirt:
            breadth, colour = KINDS[category].skirt
            grow_u, grow_v = (
                1 + 2 * breadth * unit / job.spot.length,
                1 + 2 * breadth * unit / job.spot.breadth,
            )
            cover = job.brush.shade([(u * grow_u, v * grow_v) for u, v in job.outline], (0, 0), steps=1)
            under = canvas[job.brush.window]
            under += (np.asarray(colour, np.float32) - under) * (np.float32(0.6) * cover)[..., None]
    for category, job in jobs:
        height_px = KINDS[category].height * reach * unit
        if height_px:
            cover = job.brush.shade(job.outline, (sun[0] * height_px, sun[1] * height_px))
            canvas[job.brush.window] *= (1 - np.float32(1 - depth) * cover)[..., None]
    instances = []
    for category, job in jobs:
        KINDS[category].paint(job)
        texture = smooth_noise(rng, job.brush.size[1], job.brush.size[0], 2.5 * unit)
        texture *= np.float32(KINDS[category].grain)
        instances.append(Instance(category, job.brush.lay_on(canvas, texture)))
    image = _expose(rng, look, canvas)
    questions = draw_questions(rng, asked, held_out_questions)
    present = any(i.category == asked for i in instances)
    return Scene(image, tuple(instances), asked, questions, draw_answers(rng, asked) if present else ())
