"""A scene: objects that are painted under one sun, and questions about them.

The order of the random numbers is part of the dataset: which number is taken from the generator, and when, decides
every later pixel and text. A change of that order needs a new version number in `layout`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from t2s_pipeline.datasets.synthetic.brush import Brush, Point
from t2s_pipeline.datasets.synthetic.channels import as_row, in_channels
from t2s_pipeline.datasets.synthetic.kinds import KINDS
from t2s_pipeline.datasets.synthetic.look import EMBEDDED, Look
from t2s_pipeline.datasets.synthetic.objects import Job
from t2s_pipeline.datasets.synthetic.placement import Placed, compose, find_roads
from t2s_pipeline.datasets.synthetic.queries import choose_answers, choose_questions
from t2s_pipeline.datasets.synthetic.terrain import (
    direction,
    paint_ground,
    paint_road,
    scatter_trees,
    smooth_noise,
    uniform,
)


@dataclass(frozen=True)
class Instance:
    """One object: its category and masks, bool (H, W), native pixels of the whole canvas.

    ``mask`` is its outline, ``parts`` its fine mask: panels without the ground between them, cars, water, lanes.
    """

    category: str
    mask: np.ndarray
    parts: np.ndarray


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
        return self._union([target.mask for target in self.targets])

    @property
    def fine_mask(self) -> np.ndarray:
        """Union of the parts of the targets, bool (H, W)."""
        return self._union([target.parts for target in self.targets])

    def _union(self, masks: list[np.ndarray]) -> np.ndarray:
        union = np.zeros(self.image.shape[:2], bool)
        for mask in masks:
            union |= mask
        return union


@dataclass(frozen=True)
class _Light:
    """One sun over a scene."""

    falls: Point  # unit vector on the canvas: where shadows fall
    reach: float  # a shadow's length over its object's height
    depth: float  # brightness that remains in a shadow


def _prepare(
    rng: np.random.Generator, look: Look, placed: list[Placed], light: _Light, size: tuple[int, int], unit: float
) -> list[tuple[str, Job]]:
    """Each object's outline, colour and patch."""
    jobs = []
    for category, spot in placed:
        kind = KINDS[category]
        colours = look.colours[category]
        skirt = kind.skirt[0] if kind.skirt else 0
        brush = Brush(spot, size, margin=(2 + light.reach * kind.height + skirt) * unit)
        outline = kind.outline(rng, spot.length, spot.breadth)
        base = np.asarray(colours[int(rng.integers(len(colours)))]) * uniform(rng, (0.93, 1.07))
        red, green, blue = (int(value) for value in np.clip(base, 0, 255))
        jobs.append((category, Job(rng, brush, (red, green, blue), unit, outline, light.falls)))
    return jobs


def _paint_objects(
    rng: np.random.Generator, canvas: np.ndarray, jobs: list[tuple[str, Job]], light: _Light, unit: float
) -> tuple[Instance, ...]:
    """Paint on the canvas, float32 (H, W, 3), in place.

    The ground around the objects comes first, then all shadows, then all objects. So no object is hidden by another.
    """
    for category, job in jobs:
        skirt = KINDS[category].skirt
        if skirt:
            breadth, colour = skirt
            grow_u, grow_v = 1 + 2 * breadth * unit / job.spot.length, 1 + 2 * breadth * unit / job.spot.breadth
            cover = job.brush.shade([(u * grow_u, v * grow_v) for u, v in job.outline], (0, 0), steps=1)
            under = canvas[job.brush.window]
            ground = as_row(np.asarray(colour, np.float32), under.shape[1])
            under += (ground - under) * in_channels(np.float32(0.6) * cover)
    for category, job in jobs:
        length = KINDS[category].height * light.reach * unit
        if length:
            cover = job.brush.shade(job.outline, (light.falls[0] * length, light.falls[1] * length))
            canvas[job.brush.window] *= in_channels(1 - np.float32(1 - light.depth) * cover)
    instances = []
    for category, job in jobs:
        KINDS[category].paint(job)
        texture = smooth_noise(rng, job.brush.size[1], job.brush.size[0], 2.5 * unit)
        texture *= np.float32(KINDS[category].grain)
        mask = job.brush.lay_on(canvas, texture)
        instances.append(Instance(category, mask, job.brush.fine_mask(mask)))
    return tuple(instances)


def _expose(rng: np.random.Generator, look: Look, canvas: np.ndarray) -> np.ndarray:
    """Light, haze, sensor noise and optics: float32 (H, W, 3) to uint8."""
    height, width = canvas.shape[:2]
    channels = [uniform(rng, bounds) for bounds in look.gain]
    gains = np.asarray(channels, np.float32) * np.float32(uniform(rng, look.brightness))
    haze = np.float32(uniform(rng, look.haze))
    light = 1 + np.float32(0.07) * smooth_noise(rng, height, width, max(height, width) / 1.6)
    canvas *= in_channels(light)
    canvas *= as_row(gains * (1 - haze), width)
    canvas += as_row(haze * np.asarray(look.haze_colour, np.float32), width)
    grain = np.float32(uniform(rng, look.grain) / 255)
    noise = rng.integers(0, 256, (2, height, width), dtype=np.uint8).astype(np.float32)
    canvas += in_channels((noise[0] + noise[1] - 255) * grain)
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(uniform(rng, look.blur))))
    # 7 bits: the last bit is noise, and would make the PNG files larger.
    exposed: np.ndarray = pixels & np.uint8(0xFE)
    return exposed


def _choose_size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height in pixels: about 210 to 440 each, with an aspect of at most 1.4 in either direction."""
    area_side, stretch = uniform(rng, (246, 374)), uniform(rng, (1.0, 1.4)) ** 0.5
    width, height = round(area_side * stretch), round(area_side / stretch)
    return (height, width) if rng.random() < 0.5 else (width, height)


def paint_scene(
    rng: np.random.Generator, look: Look = EMBEDDED, side: int | None = None, held_out_questions: bool = False
) -> Scene:
    """Paint the next scene of a generator. Equal generator states give equal scenes, on every machine.

    Args:
        rng: the generator.
        look: colours, light and texture.
        side: the side of a square canvas in pixels. None: each side has about 210 to 440 pixels, with an aspect of at
            most 1.4.
        held_out_questions: include wordings that the train split never has.
    """
    width, height = (side, side) if side is not None else _choose_size(rng)
    unit = math.sqrt(width * height) / 168
    asked, placed = compose(rng, look, width, height, unit)
    terrain = look.terrains[int(rng.integers(len(look.terrains)))]
    falls = direction(uniform(rng, (0, 2 * math.pi)))
    light = _Light(falls, reach=uniform(rng, look.shadow_length), depth=uniform(rng, look.shadow_depth))

    ground = np.clip(paint_ground(rng, terrain, height, width, unit), 0, 255).astype(np.uint8)
    picture = Image.fromarray(ground)
    pen = ImageDraw.Draw(picture)
    for ends, breadth in find_roads(rng, placed, width, height, unit):
        paint_road(pen, ends, breadth, terrain.road, marked=breadth > 3.4 * unit)
    scatter_trees(rng, terrain, pen, (width, height), unit, light.falls)
    canvas = np.asarray(picture).astype(np.float32)

    jobs = _prepare(rng, look, placed, light, (width, height), unit)
    instances = _paint_objects(rng, canvas, jobs, light, unit)
    image = _expose(rng, look, canvas)
    questions = choose_questions(rng, asked, held_out_questions)
    present = any(instance.category == asked for instance in instances)
    return Scene(image, instances, asked, questions, choose_answers(rng, asked) if present else ())
