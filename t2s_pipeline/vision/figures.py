"""Rotated boxes and chains of points, and what each becomes for a segmenter that knows boxes and points only.

A segmenter of the SAM family takes upright boxes, positive and negative points. So each figure has one conversion:

- A rotated box becomes its upright box, three points on its long axis (the centre and 0.3 of the length to both sides),
  and a negative point in each empty corner of the upright box: halfway between the corner and the rotated box, if they
  are farther apart than a quarter of the upright box's shorter side. At most two corners have one, the emptiest.
- A chain of points along a line becomes ``CHAIN_POINTS`` positive points at equal distances along it, and no box: an
  upright box around a diagonal line is nearly empty.
"""

import math
from dataclasses import dataclass

from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

ALONG = 0.3
EMPTY_FROM = 0.25
CHAIN_POINTS = 5
FEWEST, MOST = 2, 8
"""Points of a chain."""


@dataclass(frozen=True)
class RotatedBox:
    """A box around (x, y) with sides of ``width`` and ``height`` pixels; ``width`` lies at ``angle`` to the x axis.

    The angle is in degrees, from the x axis towards the y axis (clockwise on the screen).
    """

    x: float
    y: float
    width: float
    height: float
    angle: float

    @property
    def numbers(self) -> list[float]:
        """As an answer writes it."""
        return [self.x, self.y, self.width, self.height, self.angle]

    def point(self, along: float, across: float) -> Point:
        """The point with these coordinates in the box's own axes, whose origin is its centre."""
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return self.x + along * c - across * s, self.y + along * s + across * c

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """The four corners, in order around the box."""
        a, b = self.width / 2, self.height / 2
        return self.point(-a, -b), self.point(a, -b), self.point(a, b), self.point(-a, b)

    def nearest(self, point: Point) -> Point:
        """The point of the box that is nearest to a point; the point itself if it lies in the box."""
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        dx, dy = point[0] - self.x, point[1] - self.y
        along, across = dx * c + dy * s, dy * c - dx * s
        a, b = self.width / 2, self.height / 2
        return self.point(min(a, max(-a, along)), min(b, max(-b, across)))

    def prompts(self, frame: Frame) -> PromptObject:
        """The prompts that stand for the box, inside the frame."""
        xs, ys = zip(*self.corners, strict=True)
        box = _inside_box((min(xs), min(ys), max(xs), max(ys)), frame)
        long = self.width >= self.height
        reach = ALONG * max(self.width, self.height)
        steps = [(step * reach, 0.0) if long else (0.0, step * reach) for step in (0, -1, 1)]
        positive = tuple(_inside(self.point(*step), frame) for step in steps)
        x0, y0, x1, y1 = box
        gaps = []
        for corner in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)):
            near = self.nearest(corner)
            gaps.append((math.dist(corner, near), ((corner[0] + near[0]) / 2, (corner[1] + near[1]) / 2)))
        emptiest = sorted(gaps, key=lambda gap: -gap[0])[:2]
        least = EMPTY_FROM * min(x1 - x0, y1 - y0)
        negative = tuple(_inside(point, frame) for gap, point in emptiest if gap > least)
        return PromptObject(box, positive, negative, figure=self)


@dataclass(frozen=True)
class Chain:
    """Points along a line, in its order."""

    points: tuple[Point, ...]

    @property
    def numbers(self) -> list[list[float]]:
        """As an answer writes it."""
        return [list(point) for point in self.points]

    def prompts(self, frame: Frame) -> PromptObject:
        """The prompts that stand for the chain."""
        return PromptObject(None, tuple(_inside(point, frame) for point in self.spread(CHAIN_POINTS)), figure=self)

    def spread(self, count: int) -> tuple[Point, ...]:
        """``count`` points at equal distances along the chain, from its first to its last point."""
        lengths = [math.dist(a, b) for a, b in zip(self.points, self.points[1:], strict=False)]
        total = sum(lengths)
        spread: list[Point] = []
        for index in range(count):
            remaining, place = total * index / (count - 1), 0
            while place < len(lengths) - 1 and remaining > lengths[place]:
                remaining -= lengths[place]
                place += 1
            share = min(1.0, remaining / lengths[place]) if lengths[place] else 0.0
            (x0, y0), (x1, y1) = self.points[place], self.points[place + 1]
            spread.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0)))
        return tuple(spread)


def _inside(point: Point, frame: Frame) -> Point:
    return min(max(point[0], 0.0), float(frame.width)), min(max(point[1], 0.0), float(frame.height))


def _inside_box(box: Box, frame: Frame) -> Box:
    (x0, y0), (x1, y1) = _inside(box[:2], frame), _inside(box[2:], frame)
    return x0, y0, x1, y1
