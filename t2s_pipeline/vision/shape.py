"""The shape of a mask: its skeleton, its axis, its length and its width.

No measure changes if a mask is moved, mirrored or transposed: the neighbourhoods of erosion and dilation are symmetric,
and distances are Euclidean. Beyond the image everything is background.
"""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SQUARE = np.ones((3, 3), np.uint8)

MEASURED_SIDE = 256
"""Masks are reduced to at most so many pixels per side before their skeleton or length is measured."""


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
    return axis_of(cv2.moments(mask[window].astype(np.uint8, order="C"), binaryImage=True))


def axis_of(moments: Mapping[str, float]) -> tuple[float, float]:
    """The ``axis`` of a mask with these moments."""
    spread = moments["mu20"] + moments["mu02"]
    if spread <= 0:
        return 0.0, 0.0
    return (moments["mu20"] - moments["mu02"]) / spread, 2 * moments["mu11"] / spread


def depths(mask: Mask) -> NDArray[np.float64]:
    """For each pixel of a mask (H, W), the distance from its centre to the border of the background, in pixels.

    Background pixels have 0. The distance is that to the centre of the nearest background pixel, minus a half.
    """
    depth = np.zeros(mask.shape)
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    depth[mask] = as_depths(distances_to_background(padded)[1:-1, 1:-1][mask])
    return depth


def distances_to_background(pixels: Grey) -> NDArray[np.float32]:
    """The distance of each pixel to the nearest one that is 0, in an image of 0 and 1 with a rim of 0."""
    uses_ipp = cv2.ipp.useIPP()
    try:
        # Intel's library takes a third longer than OpenCV itself. The setting holds for this thread.
        cv2.ipp.setUseIPP(False)
        return np.asarray(cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    finally:
        cv2.ipp.setUseIPP(uses_ipp)


def as_depths(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distances between centres of pixels as depths, in float64."""
    squares = distances.astype(np.float64)
    squares *= squares
    # OpenCV's float32 roots are exact to their last bits only. The squares are whole numbers.
    depth = np.sqrt(np.rint(squares, out=squares), out=squares)
    depth -= 0.5
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
