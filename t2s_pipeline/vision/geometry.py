"""Boxes, points and their frames.

Every coordinate belongs to a *frame*: the native image, the square that a prompter sees, or the square that a segmenter
sees. No function here guesses a frame. It is always an argument.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t2s_pipeline.vision.figures import Chain, RotatedBox

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""
Point = tuple[float, float]
"""x, y."""

FULL_SIDE = 840
"""The side, in pixels, of the square that the paper's prompters see. Pseudo-labels are made for this square, and the
thresholds of the rewards are in its pixels. Foreign masks use it too, where their own sizes do not say the side."""

MAX_PIXELS = 100_000_000
"""The most pixels that an image or a mask may have. EarthReason's largest image has 58 million (7617²)."""


@dataclass(frozen=True)
class Frame:
    """A pixel grid of ``width`` × ``height``. x goes to the right and y goes down; both start at 0."""

    width: int
    height: int

    @classmethod
    def square(cls, side: int) -> "Frame":
        """A frame of ``side`` × ``side`` pixels."""
        return cls(side, side)


@dataclass(frozen=True)
class PromptObject:
    """The geometric prompts for one target instance, in the pixels of one frame.

    Attributes:
        bbox: x0, y0, x1, y1; None: no box.
        positive_points: points on the target.
        negative_points: points that are not on the target.
        figure: the rotated box or chain that an answer gave in their place, in the frame of the answer; it is lost when
            the prompts are moved to another frame.
    """

    bbox: Box | None = None
    positive_points: tuple[Point, ...] = ()
    negative_points: tuple[Point, ...] = ()
    figure: "RotatedBox | Chain | None" = None

    def moved(self, source: Frame, target: Frame) -> "PromptObject":
        """The same prompts in the frame ``target``, from their frame ``source``. x and y are scaled independently."""
        sx, sy = target.width / source.width, target.height / source.height

        def point(p: Point) -> Point:
            return (p[0] * sx, p[1] * sy)

        box = self.bbox
        return PromptObject(
            bbox=None if box is None else (box[0] * sx, box[1] * sy, box[2] * sx, box[3] * sy),
            positive_points=tuple(map(point, self.positive_points)),
            negative_points=tuple(map(point, self.negative_points)),
        )

    def with_box_centre(self) -> "PromptObject":
        """The prompts with the centre of the box as a further positive point; the same without a box."""
        if self.bbox is None:
            return self
        x0, y0, x1, y1 = self.bbox
        return replace(self, positive_points=(*self.positive_points, ((x0 + x1) / 2, (y0 + y1) / 2)))


def box_iou(a: Box, b: Box) -> float:
    """The intersection over union of two boxes of one frame, taken as continuous rectangles."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union
