"""Prompts made from true masks, to train and to evaluate the embedded segmenter.

A prompter learns only from the IoU of the mask, so a poor prompt must give a lower IoU. With a large SAM 2 and real
images this is the case. On synthetic scenes, where the objects stand apart, a small segmenter learns to mask the
nearest object whatever the box is. So most training prompts are good ones, tight boxes with points on the target, and
the others are poor prompts whose target mask is *what they literally say* (``poor_prompt``). ``degrade`` makes the
prompts that measure the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t2s_pipeline.vision.geometry import Box, Point, PromptObject

BOX_JITTER = 0.05
"""Largest displacement of a training box's side, as a share of its width or height."""


def tight_box(mask: np.ndarray) -> Box:
    """The box [x0, y0, x1, y1] around a bool mask (H, W); x1 and y1 are its last column and row."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1]))


def points_in(mask: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Point, ...]:
    """``count`` random pixels [x, y] of a bool mask (H, W); pixels repeat only if the mask has fewer."""
    pixels = np.flatnonzero(mask)
    indices = rng.choice(pixels, size=count, replace=pixels.size < count)
    return tuple((float(p % mask.shape[1]), float(p // mask.shape[1])) for p in indices)


def inner(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask whose four neighbours are also in it; the whole mask if there is no such pixel."""
    padded = np.pad(mask, 1)
    eroded: np.ndarray = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return eroded if eroded.any() else mask


def around(mask: np.ndarray, scale: float) -> np.ndarray:
    """The window of a mask's box scaled by ``scale`` about its centre, as a bool mask of the same shape."""
    x0, y0, x1, y1 = scaled(tight_box(mask), scale)
    window = np.zeros_like(mask)
    window[max(0, round(y0)) : round(y1) + 1, max(0, round(x0)) : round(x1) + 1] = True
    return window


@dataclass(frozen=True)
class PromptKind:
    """The parts of a training prompt."""

    box: bool
    positive: int
    negative: int = 0
    several: bool = False
    """The target is up to ``positive`` instances of one category, as far as the scene has them."""
    poor: bool = False
    """The box or the points are wrong, and the target mask is what they say, not the whole object."""


def training_kind(rng: np.random.Generator, boxes_only: bool = False, poor_share: float = 0.0) -> PromptKind:
    """A random kind: a box (20 %), a box and points (45 %), points (20 %), or several instances (15 %).

    Args:
        rng: source of the choice.
        boxes_only: True for one instance with its box only, without the last two kinds.
        poor_share: share of poor prompts among the first two kinds.
    """
    if boxes_only:
        return PromptKind(box=True, positive=int(rng.choice([0, 2])))
    use = rng.choice(["box", "both", "points", "several"], p=[0.2, 0.45, 0.2, 0.15])
    positive = int(rng.choice([1, 2, 4], p=[0.2, 0.55, 0.25]))
    negative = 2 if rng.random() < 0.2 else 0
    if use == "several":
        return PromptKind(box=True, positive=int(rng.choice([2, 4])), several=True)
    if poor_share and use != "points" and rng.random() < poor_share:
        return PromptKind(box=True, positive=0 if use == "box" else positive, poor=True)
    if use == "box":
        return PromptKind(box=True, positive=0)
    return PromptKind(box=use == "both", positive=positive, negative=negative)


def training_prompt(masks: Sequence[np.ndarray], kind: PromptKind, rng: np.random.Generator) -> PromptObject:
    """A good prompt for the union of ``masks``, bool (H, W) each; the points take turns among them."""
    union = np.logical_or.reduce(masks)
    box = None
    if kind.box:
        x0, y0, x1, y1 = tight_box(union)
        # A box can end at the last pixel inside or at the first one outside: both conventions are in use.
        x1, y1 = x1 + rng.uniform(0, 1), y1 + rng.uniform(0, 1)
        shift = rng.uniform(-BOX_JITTER, BOX_JITTER, size=4) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
        box = (x0 + shift[0], y0 + shift[1], x1 + shift[2], y1 + shift[3])
    positive = tuple(points_in(inner(masks[i % len(masks)]), 1, rng)[0] for i in range(kind.positive))
    outside = around(union, 1.5) & ~union
    negative = points_in(outside if outside.any() else ~union, kind.negative, rng) if kind.negative else ()
    return PromptObject(box, positive, negative)


def poor_prompt(mask: np.ndarray, kind: PromptKind, rng: np.random.Generator) -> tuple[PromptObject, np.ndarray]:
    """A poor prompt for one instance, and the mask, bool (H, W), that answers it literally.

    - A box up to 1.9 times too large: the object grows half as much as the box.
    - A box too small (down to 0.6) or shifted (by up to 40 %): what of that lies in the box.
    - A positive point off the object (a third of the prompts that have points): the object and a disc there.
    """
    box = tight_box(mask)
    positive = points_in(inner(mask), kind.positive, rng)
    if kind.positive and rng.random() < 1 / 3:
        outside = around(mask, 1.6) & ~mask
        wrong = points_in(outside if outside.any() else ~mask, int(rng.integers(1, kind.positive + 1)), rng)
        rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
        radius = 0.3 * np.sqrt(mask.sum())
        target = mask.copy()
        for x, y in wrong:
            target |= (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
        return PromptObject(box, positive[len(wrong) :] + wrong), target
    factor = float(np.exp(rng.uniform(np.log(0.6), np.log(1.9))))
    x0, y0, x1, y1 = scaled(box, factor)
    dx, dy = rng.uniform(-0.4, 0.4, size=2) * rng.integers(2, size=2) * [box[2] - box[0], box[3] - box[1]]
    x0, y0, x1, y1 = x0 + dx, y0 + dy, x1 + dx, y1 + dy
    target = grown(mask, (1 + max(factor, 1)) / 2)
    target[: max(0, round(y0))] = False
    target[max(0, round(y1) + 1) :] = False
    target[:, : max(0, round(x0))] = False
    target[:, max(0, round(x1) + 1) :] = False
    return PromptObject((x0, y0, x1, y1), positive), target


def grown(mask: np.ndarray, factor: float) -> np.ndarray:
    """A mask magnified by ``factor`` about the centre of its box, in the same window."""
    x0, y0, x1, y1 = tight_box(mask)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = mask.shape
    rows = np.clip(np.round(y + (np.arange(height) - y) / factor).astype(int), 0, height - 1)
    columns = np.clip(np.round(x + (np.arange(width) - x) / factor).astype(int), 0, width - 1)
    return mask[np.ix_(rows, columns)]


def scaled(box: Box, factor: float) -> Box:
    """A box about its own centre, ``factor`` times as wide and high."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    width, height = (box[2] - box[0]) * factor / 2, (box[3] - box[1]) * factor / 2
    return (x - width, y - height, x + width, y + height)


def shifted(box: Box, share: float, rng: np.random.Generator) -> Box:
    """A box moved by ``share`` of its width and of its height, each to a random side."""
    dx, dy = rng.choice([-share, share], size=2) * [box[2] - box[0], box[3] - box[1]]
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


def degrade(mask: np.ndarray, rng: np.random.Generator) -> dict[str, PromptObject]:
    """One instance's prompts from true to poor, by the name used in ``eval.json``; mask is bool (H, W)."""
    box = tight_box(mask)
    inside = points_in(inner(mask), 4, rng)
    off = around(mask, 1.6) & ~mask
    outside = points_in(off if off.any() else ~mask, 2, rng)
    return {
        "box + 2 points": PromptObject(box, inside[:2]),
        "box": PromptObject(box),
        "box + 4 points": PromptObject(box, inside),
        "box + 2 points + 2 negative": PromptObject(box, inside[:2], outside),
        "2 points": PromptObject(None, inside[:2]),
        "1 point": PromptObject(None, inside[:1]),
        "box × 1.3 + 2 points": PromptObject(scaled(box, 1.3), inside[:2]),
        "box × 1.6 + 2 points": PromptObject(scaled(box, 1.6), inside[:2]),
        "box × 0.7 + 2 points": PromptObject(scaled(box, 0.7), inside[:2]),
        "box × 1.3": PromptObject(scaled(box, 1.3)),
        "box × 1.6": PromptObject(scaled(box, 1.6)),
        "box shifted 15 % + 2 points": PromptObject(shifted(box, 0.15, rng), inside[:2]),
        "box shifted 30 % + 2 points": PromptObject(shifted(box, 0.3, rng), inside[:2]),
        "box shifted 30 %": PromptObject(shifted(box, 0.3, rng)),
        "box + 2 points off the object": PromptObject(box, outside),
        "box + 1 point off the object": PromptObject(box, (inside[0], outside[0])),
    }
