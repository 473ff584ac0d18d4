"""The shape of a mask: its skeleton, its axis, its length and width, and the class that tables group targets by.

No measure changes if a mask is moved, mirrored or transposed: the neighbourhoods of erosion and dilation are symmetric,
and distances are Euclidean. Beyond the image everything is background.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SQUARE = np.ones((3, 3), np.uint8)

REGULAR, ELONGATED, THIN, IRREGULAR = MORPHOLOGIES = ("regular", "elongated", "thin", "irregular")
"""The classes of ``TargetShape.morphology``."""

MEASURED_SIDE = 256
"""Masks are reduced to at most so many pixels per side before their skeleton or length is measured."""

COMPACT, SLENDER = 3.0, 6.0
"""Up to the first slenderness a target counts as compact (a rectangle of about 2.2:1), from the second on as slender
(5.3:1)."""
ELONGATED_FROM, THIN_FROM = 4.0, 10.0
"""The slenderness from which a target is elongated (a rectangle of about 3.2:1), and thin (9.3:1)."""
ONE_WAY_FROM = 0.5
"""The elongation from which a target lies along one direction. A cross is slender and has no direction."""
SOLID_FROM = 0.85
"""Targets that fill less of their convex hull are irregular."""


def tight_window(mask: Mask) -> tuple[slice, slice] | None:
    """The rows and columns of the smallest window that holds all pixels of a mask (H, W); None without any."""
    if not mask.size:
        return None
    pixels = mask.view(np.uint8)
    # A decoded mask lies column by column. OpenCV reads row by row, so it gets the mask turned over.
    by_column = mask.flags.f_contiguous and not mask.flags.c_contiguous
    left, top, width, height = cv2.boundingRect(pixels.T if by_column else np.ascontiguousarray(pixels))
    if by_column:
        left, top, width, height = top, left, height, width
    return (slice(top, top + height), slice(left, left + width)) if width else None


_WORDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def reduced(mask: Mask, side: int = MEASURED_SIDE) -> Mask:
    """The mask (H, W) at 1/k of its size, with the smallest whole k for which no side is longer than ``side``.

    A pixel of the result is target if one of its k·k pixels is. So thin lines stay connected.
    """
    factor = math.ceil(max(mask.shape) / side)
    if factor == 1:
        return mask
    height, width = (math.ceil(size / factor) for size in mask.shape)
    padded = np.zeros((height * factor, width * factor), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    # Rows first: whole rows are combined with vector instructions.
    rows = _joined([padded[shift::factor] for shift in range(factor)])
    if factor in _WORDS:
        # So many pixels of a row are the bytes of one number.
        joined: Mask = rows.view(_WORDS[factor]) != 0
        return joined
    return _joined([rows[:, shift::factor] for shift in range(factor)])


def _joined(parts: Sequence[Mask]) -> Mask:
    """The pixels that are target in at least one of the masks."""
    joined = parts[0].copy()
    for part in parts[1:]:
        joined |= part
    return joined


def skeleton(mask: Mask) -> Mask:
    """The skeleton of a mask, bool (H, W), as clDice defines it.

    ``S = (M − open(M)) ∪ (E − open(E)) ∪ (EE − open(EE)) …``, where E is the erosion of M by the cross of five pixels,
    and ``open`` is that erosion followed by a dilation by the square of nine.

    Source: Shit et al., "clDice – a Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", CVPR
    2021, algorithm 1 (soft skeletonization), for masks of 0 and 1.
    """
    lines = np.zeros_like(mask)
    window = tight_window(mask)
    if window is not None:
        lines[window] = _skeleton(np.pad(mask[window], 1).astype(np.uint8, order="C"))[1:-1, 1:-1].astype(bool)
    return lines


def _skeleton(eroded: Grey) -> Grey:
    """The skeleton of a mask of 0 and 1 whose rim is 0."""
    lines = np.zeros_like(eroded)
    while cv2.countNonZero(eroded):
        smaller = cv2.erode(eroded, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
        opened = cv2.dilate(smaller, SQUARE, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
        cv2.bitwise_or(lines, cv2.subtract(eroded, opened), dst=lines)
        eroded = np.asarray(smaller, np.uint8)
    return lines


def axis(mask: Mask) -> tuple[float, float]:
    """The axis of a mask (H, W): ``((μ_xx − μ_yy) / (μ_xx + μ_yy), 2 μ_xy / (μ_xx + μ_yy))``, μ its central moments.

    It is a vector of the length (λ₁ − λ₂) / (λ₁ + λ₂), where λ are the variances along both axes: 0 for a disc or a
    square, nearly 1 for a line. It points to twice the angle of the long axis. It is (0, 0) for less than two pixels.
    """
    window = tight_window(mask)
    if window is None:
        return 0.0, 0.0
    return _axis_of_tight(mask[window])


def _axis_of_tight(mask: Mask) -> tuple[float, float]:
    """The ``axis`` of a mask that fills its window."""
    moments = cv2.moments(mask.astype(np.uint8, order="C"), binaryImage=True)
    spread = moments["mu20"] + moments["mu02"]
    if spread <= 0:
        return 0.0, 0.0
    return (moments["mu20"] - moments["mu02"]) / spread, 2 * moments["mu11"] / spread


def depths(mask: Mask) -> NDArray[np.float64]:
    """For each pixel of a mask (H, W), the distance from its centre to the border of the background, in pixels.

    Background pixels have 0. The distance is that to the centre of the nearest background pixel, minus a half.
    """
    depth = np.zeros(mask.shape)
    depth[mask] = _target_depths(mask)
    return depth


def _target_depths(mask: Mask) -> NDArray[np.float64]:
    """The ``depths`` of the pixels of a mask (H, W), row by row; without background."""
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1][mask].astype(np.float64)
    # The last bits of OpenCV's float32 roots depend on where the array lies in memory. The squares are whole numbers.
    depth: NDArray[np.float64] = np.sqrt(np.rint(distances * distances)) - 0.5
    return depth


def ribbon(area: float, depth: float) -> tuple[float, float]:
    """Length and width, in pixels, of the ribbon with this area and this sum of depths.

    In a long ribbon of the width w, the mean depth is w / 4. So ``w = 4 · Σdepth / A`` and ``L = A / w``.
    """
    width = 4 * depth / area
    return area / width, width


def length(mask: Mask) -> float:
    """The length of a mask (H, W) in pixels: that of its ``ribbon``; 0 for an empty mask.

    It estimates the length of the centre line, also of a bent one. A count of skeleton pixels would depend on how a
    line is turned: a diagonal line of n pixels is √2·n long.
    """
    window = tight_window(mask)
    if window is None:
        return 0.0
    return ribbon(int(np.count_nonzero(mask)), float(depths(mask[window]).sum()))[0]


@dataclass(frozen=True)
class TargetShape:
    """The measures of a target. Each is the mean over its connected pieces, weighed by their pixels.

    Attributes:
        slenderness: length over width of the ``ribbon``. A disc has 16/9, a square 9/4, a rectangle of n×1 with a large
            n about n.
        elongation: the length of the vector of ``axis``, from 0 to 1.
        solidity: pixels over the pixels of the convex hull, from 0 to 1.
    """

    slenderness: float
    elongation: float
    solidity: float

    @property
    def morphology(self) -> str:
        """One of ``MORPHOLOGIES``: thin before elongated, both before irregular; everything else is regular."""
        if self.slenderness >= THIN_FROM:
            return THIN
        if self.slenderness >= ELONGATED_FROM and self.elongation >= ONE_WAY_FROM:
            return ELONGATED
        return REGULAR if self.solidity >= SOLID_FROM else IRREGULAR

    @property
    def slender_share(self) -> float:
        """How slender the target is: ``(slenderness − COMPACT) / (SLENDER − COMPACT)``, at least 0 and at most 1."""
        return min(1.0, max(0.0, (self.slenderness - COMPACT) / (SLENDER - COMPACT)))


def shape_of(mask: Mask) -> TargetShape | None:
    """The measures of a mask (H, W) of any size, reduced to ``MEASURED_SIDE``; None for an empty one."""
    window = tight_window(mask)
    if window is None:
        return None
    target = reduced(mask[window])
    pixels = target.astype(np.uint8, order="C")
    labels = np.asarray(cv2.connectedComponents(pixels, connectivity=8)[1])
    contours, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # The contours without a parent go around a piece, the others around a hole. Sums of floats depend on their order.
    outer = [contour for contour, links in zip(contours, np.asarray(hierarchy)[0], strict=True) if links[3] < 0]
    numbers = [int(labels[contour[0, 0, 1], contour[0, 0, 0]]) for contour in outer]
    total = [0.0, 0.0, 0.0]
    for number, contour in sorted(zip(numbers, outer, strict=True), key=itemgetter(0)):
        left, top, width, height = cv2.boundingRect(contour)
        piece = labels[top : top + height, left : left + width] == number
        area = int(np.count_nonzero(piece))
        # Added up one by one, in the order of rows.
        long, wide = ribbon(area, float(np.cumsum(_target_depths(piece))[-1]))
        measures = long / wide, math.hypot(*_axis_of_tight(piece)), _solidity(contour, left, top, piece, area)
        total = [sum_so_far + area * value for sum_so_far, value in zip(total, measures, strict=True)]
    pixels_of_all = np.count_nonzero(target)
    return TargetShape(*(value / pixels_of_all for value in total))


def _solidity(contour: cv2.typing.MatLike, left: int, top: int, piece: Mask, area: int) -> float:
    """The share of its convex hull that a connected piece fills. The hull is drawn with its border pixels.

    Args:
        contour: around the piece, in pixels of the image.
        left: the first column of the piece in the image.
        top: its first row.
        piece: bool (h, w), in its smallest window.
        area: its pixels.
    """
    hull = cv2.convexHull(contour) - np.array((left, top), np.int32)
    drawn = cv2.fillConvexPoly(np.zeros(piece.shape, np.uint8), hull, (1,))
    return area / max(area, cv2.countNonZero(drawn))
