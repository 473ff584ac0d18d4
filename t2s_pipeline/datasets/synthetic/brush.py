"""Painting an object in its own frame on a small supersampled patch, and blending the patch into the canvas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from t2s_pipeline.datasets.synthetic.channels import in_channels

Point = tuple[float, float]
_SUPERSAMPLING = 3


@dataclass(frozen=True)
class Spot:
    """Where an object stands: an oriented box in native pixels, (x, y) its centre, y down.

    The object's own frame has its origin at the centre, u along `length` and v along `breadth`.
    """

    x: float
    y: float
    length: float
    breadth: float
    cosine: float
    sine: float

    def reach(self, margin: float = 0.0) -> Point:
        """Half width and half height of the upright box around the oriented box, with a margin on every side."""
        a, b = self.length / 2 + margin, self.breadth / 2 + margin
        c, s = abs(self.cosine), abs(self.sine)
        return a * c + b * s, a * s + b * c

    def apart(self, other: Spot, gap: float) -> bool:
        """True if there are at least `gap` pixels between the two boxes (separating axes)."""
        dx, dy = other.x - self.x, other.y - self.y
        for axis in (
            (self.cosine, self.sine),
            (-self.sine, self.cosine),
            (other.cosine, other.sine),
            (-other.sine, other.cosine),
        ):
            distance = abs(dx * axis[0] + dy * axis[1])
            extent = 0.0
            for box in (self, other):
                extent += box.length / 2 * abs(box.cosine * axis[0] + box.sine * axis[1])
                extent += box.breadth / 2 * abs(box.cosine * axis[1] - box.sine * axis[0])
            if distance - extent >= gap:
                return True
        return False


class Brush:
    """A patch around a spot; shapes are given in the object's frame, native pixels."""

    def __init__(self, spot: Spot, canvas: tuple[int, int], margin: float = 2.0) -> None:
        """Make an empty patch.

        Args:
            spot: where the object stands.
            canvas: (width, height) of the canvas in pixels.
            margin: pixels around the upright box of the spot, as room for a shadow.
        """
        self.spot = spot
        half_width, half_height = spot.reach()
        self.left = max(0, math.floor(spot.x - half_width - margin))
        self.top = max(0, math.floor(spot.y - half_height - margin))
        self.right = min(canvas[0], math.ceil(spot.x + half_width + margin))
        self.bottom = min(canvas[1], math.ceil(spot.y + half_height + margin))
        self.size = (self.right - self.left, self.bottom - self.top)
        self._fine = (self.size[0] * _SUPERSAMPLING, self.size[1] * _SUPERSAMPLING)
        # `outline` makes them.
        self._colour: Image.Image
        self._cover: Image.Image
        self._pen: ImageDraw.ImageDraw
        self._parts: Image.Image | None = None

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the canvas that the patch covers."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def _place(self, points: list[Point], shift: Point = (0.0, 0.0)) -> list[Point]:
        """From the object's frame to supersampled pixels of the patch. ``shift`` is in pixels of the canvas."""
        x, y, cosine, sine = self.spot.x, self.spot.y, self.spot.cosine, self.spot.sine
        (right, down), left, top = shift, self.left, self.top
        return [
            (
                (x + u * cosine - v * sine + right - left) * _SUPERSAMPLING,
                (y + u * sine + v * cosine + down - top) * _SUPERSAMPLING,
            )
            for u, v in points
        ]

    def outline(self, points: list[Point], fill: tuple[int, int, int]) -> None:
        """Start the object: its outline, which is its mask, filled with its base colour."""
        self._colour = Image.new("RGB", self._fine, fill)
        self._cover = Image.new("L", self._fine, 0)
        ImageDraw.Draw(self._cover).polygon(self._place(points), fill=255)
        self._pen = ImageDraw.Draw(self._colour)

    def polygon(self, points: list[Point], fill: tuple[int, int, int]) -> None:
        """Paint a filled polygon."""
        self._pen.polygon(self._place(points), fill=fill)

    def part(self, points: list[Point]) -> None:
        """Mark a polygon as a part of the object: its fine mask is the union of its parts."""
        if self._parts is None:
            self._parts = Image.new("L", self._fine, 0)
        ImageDraw.Draw(self._parts).polygon(self._place(points), fill=255)

    def hole(self, points: list[Point]) -> None:
        """Mark a polygon that does not belong to the object's fine mask."""
        if self._parts is None:
            self._parts = self._cover.copy()
        ImageDraw.Draw(self._parts).polygon(self._place(points), fill=0)

    def fine_mask(self, mask: np.ndarray) -> np.ndarray:
        """The fine mask of the object, bool (H, W): its parts, or its ``mask`` if no part is marked."""
        if self._parts is None:
            return mask
        fine = np.zeros_like(mask)
        fine[self.window] = np.asarray(self._parts.reduce(_SUPERSAMPLING)) >= 128
        parts: np.ndarray = fine & mask
        return parts

    def line(self, points: list[Point], fill: tuple[int, int, int], width: float) -> None:
        """Paint a line of that width, at least one supersampled pixel wide."""
        self._pen.line(self._place(points), fill=fill, width=max(1, round(width * _SUPERSAMPLING)))

    def disc(self, centre: Point, radius: float, fill: tuple[int, int, int]) -> None:
        """Paint a filled circle."""
        ((x, y),) = self._place([centre])
        r = radius * _SUPERSAMPLING
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def shade(self, points: list[Point], shift: Point, steps: int = 6) -> np.ndarray:
        """The shadow of a prism over `points`: its cover, float32 (h, w) in [0, 1]. `shift` is its length in pixels."""
        image = Image.new("L", self.size, 0)
        pen = ImageDraw.Draw(image)
        for k in range(steps + 1):
            moved = self._place(points, (shift[0] * k / steps, shift[1] * k / steps))
            pen.polygon([(x / _SUPERSAMPLING, y / _SUPERSAMPLING) for x, y in moved], fill=255)
        return np.asarray(image).astype(np.float32) * np.float32(1 / 255)

    def lay_on(self, canvas: np.ndarray, texture: np.ndarray) -> np.ndarray:
        """Blend the object into the canvas.

        Args:
            canvas: float32 (H, W, 3), changed in place.
            texture: float (h, w) of the patch. The colour is multiplied by 1 + texture.

        Returns:
            The object's mask, bool (H, W): the pixels of which at least half is covered.
        """
        colour = np.asarray(self._colour.reduce(_SUPERSAMPLING)).astype(np.float32)
        cover = np.asarray(self._cover.reduce(_SUPERSAMPLING))
        alpha = in_channels(cover.astype(np.float32) * np.float32(1 / 255))
        colour *= in_channels(1 + texture)
        under = canvas[self.window]
        under += (colour - under) * alpha
        mask = np.zeros(canvas.shape[:2], bool)
        mask[self.window] = cover >= 128
        return mask
