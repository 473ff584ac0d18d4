"""A part of an object as one view shows it, and the object that several parts make."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.view import SceneView

MOST_SAMPLES = 768
"""The most positions per side at which two masks are compared."""

EDGE = 2
"""Pixels that are read. A mask that comes so near to the edge of its view is taken as cut by it."""


@dataclass(frozen=True)
class Piece:
    """The mask of one prompt in one view.

    Attributes:
        view: the view.
        left: first column of the mask's crop, in pixels of the view's image.
        top: first row of it.
        crop: the mask inside the crop.
        prompt: what the segmenter was asked with, in pixels of the scene.
        score: the segmenter's own estimate of the mask's IoU.
        agreement: the share of sampled answers with such an object; None if none were sampled.
    """

    view: SceneView
    left: int
    top: int
    crop: Rle
    prompt: PromptObject
    score: float
    agreement: float | None = None

    @classmethod
    def of(
        cls,
        view: SceneView,
        mask: NDArray[np.bool_],
        prompt: PromptObject,
        score: float,
        agreement: float | None = None,
    ) -> "Piece | None":
        """The piece of a mask (rows, columns) of a view; None if the mask is empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return None
        top, left = int(rows[0]), int(columns[0])
        crop = masks.encode(mask[top : rows[-1] + 1, left : columns[-1] + 1])
        return cls(view, left, top, crop, prompt, score, agreement)

    @cached_property
    def bounds(self) -> Box:
        """The box around the mask, in pixels of the scene."""
        dx, dy = self.view.step
        x, y = self.view.x + self.left * dx, self.view.y + self.top * dy
        return (x, y, x + self.crop.width * dx, y + self.crop.height * dy)

    @cached_property
    def area(self) -> float:
        """In pixels of the scene."""
        dx, dy = self.view.step
        return self.crop.area * dx * dy

    def is_cut(self, width: int, height: int) -> bool:
        """Whether the object may go on beyond an edge of the view that is no edge of the scene of that size."""
        x0, y0, x1, y1 = self.bounds
        margin_x, margin_y = (EDGE * step for step in self.view.step)
        left, top, right, bottom = self.view.box
        return (
            (left > 0 and x0 - left < margin_x)
            or (top > 0 and y0 - top < margin_y)
            or (right < width and right - x1 < margin_x)
            or (bottom < height and bottom - y1 < margin_y)
        )

    def at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The mask at positions of the scene: bool (len(ys), len(xs)); False outside of the view."""
        dx, dy = self.view.step
        columns = np.floor((xs - self.view.x) / dx).astype(np.int64) - self.left
        rows = np.floor((ys - self.view.y) / dy).astype(np.int64) - self.top
        in_x, in_y = (columns >= 0) & (columns < self.crop.width), (rows >= 0) & (rows < self.crop.height)
        values = np.zeros((ys.size, xs.size), bool)
        if in_x.any() and in_y.any():
            values[np.ix_(in_y, in_x)] = masks.decode(self.crop)[np.ix_(rows[in_y], columns[in_x])]
        return values

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values, without the view."""
        return {
            "left": self.left,
            "top": self.top,
            "crop": self.crop.as_arrow(),
            "prompt": prompt_as_json(self.prompt),
            "score": self.score,
            "agreement": self.agreement,
        }

    @classmethod
    def from_json(cls, view: SceneView, value: dict[str, Any]) -> "Piece":
        """The inverse of ``as_json``."""
        crop, prompt = Rle.from_arrow(value["crop"]), prompt_from_json(value["prompt"])
        return cls(view, value["left"], value["top"], crop, prompt, value["score"], value["agreement"])


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        pieces: the parts of its mask; a pixel of any of them belongs to the object.
        prompt: what the segmenter was asked with, in pixels of the scene.
        score: the segmenter's own estimate of the mask's IoU; of several parts the mean, weighted by their areas.
        agreement: the share of sampled answers with such an object; None if none were sampled.
        views: the number of views in which it was found.
    """

    pieces: tuple[Piece, ...]
    prompt: PromptObject
    score: float
    agreement: float | None
    views: int

    @cached_property
    def bounds(self) -> Box:
        """The box around its parts, in pixels of the scene."""
        return box_around(piece.bounds for piece in self.pieces)

    @cached_property
    def area(self) -> float:
        """In pixels of the scene; parts that overlap count twice."""
        return sum(piece.area for piece in self.pieces)

    def at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The mask at positions of the scene, as ``Piece.at``."""
        values = np.zeros((ys.size, xs.size), bool)
        for piece in self.pieces:
            values |= piece.at(xs, ys)
        return values

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        pieces = [{"view": vars(piece.view), **piece.as_json()} for piece in self.pieces]
        rest = {"score": self.score, "agreement": self.agreement, "views": self.views}
        return {"pieces": pieces, "prompt": prompt_as_json(self.prompt), **rest}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SceneObject":
        """The inverse of ``as_json``."""
        pieces = tuple(Piece.from_json(SceneView(**piece["view"]), piece) for piece in value["pieces"])
        prompt = prompt_from_json(value["prompt"])
        return cls(pieces, prompt, value["score"], value["agreement"], value["views"])


def box_around(boxes: Iterable[Box]) -> Box:
    """The smallest box around boxes, of which there is at least one."""
    corners = np.array(list(boxes), dtype=np.float64)
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def common(a: Box, b: Box) -> Box | None:
    """The box that two boxes share; None if they share no area."""
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def lattice(box: Box, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions inside a box, about ``step`` apart and at most ``MOST_SAMPLES`` per side, at the centres of cells."""
    (x0, y0, x1, y1) = box

    def centres(start: float, stop: float) -> NDArray[np.float64]:
        count = min(MOST_SAMPLES, max(1, math.ceil((stop - start) / step)))
        return start + (np.arange(count, dtype=np.float64) + 0.5) * ((stop - start) / count)

    return centres(x0, x1), centres(y0, y1)


def prompt_as_json(item: PromptObject) -> dict[str, Any]:
    """Prompts as JSON values."""
    return {
        "bbox": None if item.bbox is None else list(item.bbox),
        "positive_points": [list(point) for point in item.positive_points],
        "negative_points": [list(point) for point in item.negative_points],
    }


def prompt_from_json(value: dict[str, Any]) -> PromptObject:
    """The inverse of ``prompt_as_json``."""
    box = value["bbox"]
    return PromptObject(
        bbox=None if box is None else (box[0], box[1], box[2], box[3]),
        positive_points=tuple((x, y) for x, y in value["positive_points"]),
        negative_points=tuple((x, y) for x, y in value["negative_points"]),
    )
