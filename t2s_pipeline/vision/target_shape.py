"""The shape of a target with all of its connected pieces, and the class that tables group targets by."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

import cv2
import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision.shape import (
    Grey,
    Mask,
    as_depths,
    axis_of,
    distances_to_background,
    reduced,
    ribbon,
    tight_window,
)

REGULAR, ELONGATED, THIN, IRREGULAR = MORPHOLOGIES = ("regular", "elongated", "thin", "irregular")
"""The classes of ``TargetShape.morphology``."""

COMPACT, SLENDER = 3.0, 6.0
"""Up to the first slenderness a target counts as compact (a rectangle of about 2.2:1), from the second on as slender
(5.3:1)."""
ELONGATED_FROM, THIN_FROM = 4.0, 10.0
"""The slenderness from which a target is elongated (a rectangle of about 3.2:1), and thin (9.3:1)."""
ONE_WAY_FROM = 0.5
"""The elongation from which a target lies along one direction. A cross is slender and has no direction."""
SOLID_FROM = 0.85
"""Targets that fill less of their convex hull are irregular."""


@dataclass(frozen=True)
class TargetShape:
    """The shape of a target.

    Attributes:
        slenderness: length over width of the ``ribbon``, the mean over its connected pieces (``TargetPieces``). A disc
            has 16/9, a square 9/4, a rectangle of n×1 with a large n about n.
        morphology: one of ``MORPHOLOGIES``: thin before elongated, both before irregular; everything else is regular.
    """

    slenderness: float
    morphology: str

    @property
    def slender_share(self) -> float:
        """How slender the target is: ``(slenderness − COMPACT) / (SLENDER − COMPACT)``, at least 0 and at most 1."""
        return min(1.0, max(0.0, (self.slenderness - COMPACT) / (SLENDER - COMPACT)))


def shape_of(mask: Mask) -> TargetShape | None:
    """The shape of a mask (H, W) of any size, reduced to ``MEASURED_SIDE``; None for an empty one."""
    pieces = pieces_of(mask)
    return None if pieces is None else TargetShape(pieces.slenderness, _morphology(pieces))


def _morphology(pieces: "TargetPieces") -> str:
    """The class of a target. A measure that does not decide it is not computed."""
    if pieces.slenderness >= THIN_FROM:
        return THIN
    if pieces.slenderness >= ELONGATED_FROM and pieces.elongation() >= ONE_WAY_FROM:
        return ELONGATED
    return REGULAR if pieces.solidity() >= SOLID_FROM else IRREGULAR


@dataclass(frozen=True, slots=True)
class _TargetPiece:
    """A connected piece of a target.

    Attributes:
        number: in the image of all pieces.
        pixels: 0 and 1, in its smallest window with a rim of background, uint8 (h + 2, w + 2).
        area: its pixels.
        contour: around it, in pixels of the image.
        left: its first column in the image.
        top: its first row in the image.
    """

    number: int
    pixels: Grey
    area: int
    contour: cv2.typing.MatLike
    left: int
    top: int

    def slenderness(self) -> float:
        """Length over width of the ``ribbon``."""
        # The nearest pixel outside of a piece is background. Depths are added up one by one, in the order of rows.
        depth = float(np.cumsum(as_depths(distances_to_background(self.pixels)[self.pixels.view(np.bool_)]))[-1])
        long, wide = ribbon(self.area, depth)
        return long / wide

    def elongation(self) -> float:
        """The length of the vector of ``axis``."""
        return math.hypot(*axis_of(cv2.moments(self.pixels[1:-1, 1:-1], binaryImage=True)))

    def solidity(self) -> float:
        """Its pixels over those of its convex hull, which is drawn with its border pixels."""
        height, width = self.pixels.shape
        hull = cv2.convexHull(self.contour) - np.array((self.left, self.top), np.int32)
        drawn = cv2.fillConvexPoly(np.zeros((height - 2, width - 2), np.uint8), hull, (1,))
        return self.area / max(self.area, cv2.countNonZero(drawn))


@dataclass(frozen=True)
class TargetPieces:
    """The connected pieces of a target. Each measure is the mean over them, weighed by their pixels.

    Attributes:
        slenderness: length over width of the ``ribbon``.
    """

    slenderness: float
    _pieces: tuple[_TargetPiece, ...]
    _area: int

    def elongation(self) -> float:
        """The length of the vector of ``axis``, from 0 to 1."""
        return _mean(self._area, ((piece.area, piece.elongation()) for piece in self._pieces))

    def solidity(self) -> float:
        """Pixels over the pixels of the convex hull, from 0 to 1."""
        return _mean(self._area, ((piece.area, piece.solidity()) for piece in self._pieces))


def _mean(area: int, weighed: Iterable[tuple[int, float]]) -> float:
    """The mean of (pixels, value), added up one by one: sums of floats depend on their order."""
    total = 0.0
    for pixels, value in weighed:
        total += pixels * value
    return total / area


def pieces_of(mask: Mask) -> TargetPieces | None:
    """The connected pieces of a mask (H, W) of any size, reduced to ``MEASURED_SIDE``; None for an empty one."""
    window = tight_window(mask)
    if window is None:
        return None
    target = reduced(mask[window])
    pixels = target.astype(np.uint8, order="C")
    # A reduced target has fewer pieces than 16 bits can count.
    labels = np.asarray(cv2.connectedComponents(pixels, connectivity=8, ltype=cv2.CV_16U)[1], np.uint16)
    pieces = sorted(_connected_pieces(pixels, labels), key=attrgetter("number"))
    area = int(np.count_nonzero(target))
    return TargetPieces(_mean(area, ((piece.area, piece.slenderness()) for piece in pieces)), tuple(pieces), area)


def _connected_pieces(pixels: Grey, labels: NDArray[np.uint16]) -> Iterator[_TargetPiece]:
    """The pieces of a target.

    Args:
        pixels: 0 and 1 (H, W).
        labels: the number of each pixel's piece (H, W); 0 for background.
    """
    contours, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    with_rim = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    for contour, parent in zip(contours, np.asarray(hierarchy)[0, :, 3].tolist(), strict=True):
        if parent < 0:  # the others go around a hole
            left, top, width, height = cv2.boundingRect(contour)
            column, row = contour[0, 0].tolist()
            number = int(labels[row, column])
            piece = (with_rim[top : top + height + 2, left : left + width + 2] == number).view(np.uint8)
            yield _TargetPiece(number, piece, cv2.countNonZero(piece), contour, left, top)
