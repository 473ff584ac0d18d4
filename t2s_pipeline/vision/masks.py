"""Masks as COCO run lengths: encode, decode, check, and count the pixels that two masks share.

pycocotools encodes. It does not decode here: its C decoder trusts the counts, and reads and writes outside its buffers
if they are wrong. After the counts are checked, decoding is a single ``repeat``.
"""

from dataclasses import dataclass
from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import MAX_PIXELS

MAX_COUNTS_BYTES = 8 * 1024 * 1024
"""The most bytes of the run lengths of one mask."""


class ArrowRle(TypedDict):
    """A value of a column of ``RLE_TYPE``."""

    height: int
    width: int
    counts: str


@dataclass(frozen=True)
class Rle:
    """A binary mask of ``height`` × ``width`` pixels as COCO compressed run lengths."""

    height: int
    width: int
    counts: str

    @property
    def area(self) -> int:
        """The number of target pixels.

        Raises:
            InputError: for malformed run lengths.
        """
        return int(run_lengths(self.counts)[1::2].sum())

    def as_arrow(self) -> ArrowRle:
        """The value for a column of ``RLE_TYPE``."""
        return {"height": self.height, "width": self.width, "counts": self.counts}

    @classmethod
    def from_arrow(cls, value: ArrowRle) -> "Rle":
        """The inverse of ``as_arrow``."""
        return cls(value["height"], value["width"], value["counts"])


def encode(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> Rle:
    """Run lengths of a boolean or 0/1 mask (H, W)."""
    height, width = mask.shape
    # pycocotools reads column by column. OpenCV turns a mask over several times as fast as a copy by NumPy.
    pixels = np.ascontiguousarray(mask, dtype=np.uint8)
    counts = coco.encode(cv2.transpose(pixels).T if mask.size else np.asfortranarray(pixels))["counts"]
    return Rle(height, width, counts.decode("ascii"))


def from_run_ends(height: int, width: int, ends: NDArray[np.int64], starts_with_target: bool) -> Rle:
    """The run lengths of a mask from the positions at which its pixels change.

    Args:
        height: of the mask, in pixels.
        width: of the mask, in pixels.
        ends: increasing positions, counted column by column from the top left.
        starts_with_target: whether the first pixel is target.
    """
    first = [0] if starts_with_target else []
    bounds = np.concatenate([[0], ends, [height * width]])
    runs = [*first, *np.diff(bounds).tolist()]
    counts = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]
    return Rle(height, width, counts.decode("ascii"))


def decode(rle: Rle) -> NDArray[np.bool_]:
    """The boolean mask (H, W). The run lengths are checked first.

    Raises:
        InputError: if the run lengths are malformed or do not fill the mask.
    """
    runs = check(rle)
    is_target = np.arange(runs.size) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(is_target, runs).reshape((rle.width, rle.height)).T
    return mask


def decode_by_row(rle: Rle) -> NDArray[np.bool_]:
    """The boolean mask (H, W) as ``decode`` gives it, row by row in memory. Raises as ``decode``."""
    columns = decode(rle).T
    # OpenCV turns a mask over several times as fast as a copy by NumPy.
    return np.asarray(cv2.transpose(columns.view(np.uint8)), np.uint8).view(np.bool_)


def check(rle: Rle) -> NDArray[np.int64]:
    """The run lengths (int64) after a check that they can be decoded.

    Checked are the limits of size, the alphabet, and that the sum of the runs is height × width.

    Raises:
        InputError: it names the first thing that is wrong.
    """
    if rle.height <= 0 or rle.width <= 0:
        raise InputError(f"mask size {rle.height}×{rle.width} is not positive")
    if len(rle.counts) > MAX_COUNTS_BYTES:
        raise InputError(f"mask run lengths are {len(rle.counts)} bytes, more than {MAX_COUNTS_BYTES}")
    if rle.height * rle.width > MAX_PIXELS:
        raise InputError(f"mask size {rle.height}×{rle.width} is more than {MAX_PIXELS:,} pixels")
    runs = run_lengths(rle.counts)
    # The longest run first: the sum of very large numbers could overflow to the right total.
    total = int(runs.sum()) if runs.max() <= MAX_PIXELS else int(runs.max())
    if total != rle.height * rle.width:
        raise InputError(f"mask runs cover {total} pixels, not {rle.height}×{rle.width}")
    return runs


def run_lengths(counts: str) -> NDArray[np.int64]:
    """The run lengths (int64) that COCO's compressed string stands for.

    A character holds six bits, from ``'0'`` (48) on: five bits of value, and one bit for "more follows". From the
    fourth run on, a run is stored as its difference from the run two before (the format of COCO's mask API).

    Raises:
        InputError: for a character outside the alphabet, an unfinished or over-long number, a negative run.
    """
    if not counts.isascii():
        raise InputError("mask run lengths hold a character outside the alphabet")
    codes = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63:
        raise InputError("mask run lengths are empty or hold a character outside the alphabet")
    last = (codes & 32) == 0
    if not last[-1]:
        raise InputError("mask run lengths stop in the middle of a number")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise InputError("mask run lengths hold a number of more than 35 bits")
    position = np.arange(codes.size) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 31) << (5 * position), starts)
    negative = (codes[ends] & 16) != 0
    values = np.where(negative, values - (np.int64(1) << (5 * lengths)), values)
    # The first three runs are absolute. Every other run is relative to the run two before it. So the runs with even
    # index (without the first) are a running sum, and the runs with odd index are another one.
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    if runs.min() < 0:
        raise InputError("mask run lengths hold a negative run")
    return runs


def intersection_union(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[int, int]:
    """The number of pixels in both masks, and in at least one; the boolean masks have the same shape."""
    intersection = int(np.count_nonzero(a & b))
    return intersection, int(np.count_nonzero(a)) + int(np.count_nonzero(b)) - intersection


def nearest(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """The mask at another size, with exactly the pixels of Pillow's ``resize(…, Resampling.NEAREST)``.

    The authors' evaluation resizes the ground truth in this way, so the protocols do the same.
    """
    return mask[np.ix_(nearest_indices(mask.shape[0], height), nearest_indices(mask.shape[1], width))]


def nearest_indices(old: int, new: int) -> NDArray[np.intp]:
    """For each of ``new`` pixels along a side, the index of the one of ``old`` pixels that Pillow's NEAREST takes.

    Pillow adds the step ``old / new`` once per pixel, in double precision (``ImagingScaleAffine`` in its Geometry.c).
    Where the centre of a new pixel lies on the border of two old ones, the rounding errors of these sums decide.
    """
    steps = np.full(new, old / new)
    steps[0] *= 0.5
    # The sum is sequential, as Pillow's. ``np.cumsum`` and ``np.add.accumulate`` do not add in pairs.
    indices: NDArray[np.intp] = np.minimum(np.add.accumulate(steps).astype(np.intp), old - 1)
    return indices


def at_centres(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """The mask at another size: each new pixel is the old one under its centre, ``⌊(i + 0.5) · old / new⌋``.

    Training and pseudo-labels use it. It differs from ``nearest`` only where the centre lies on the border of two old
    pixels, and takes the later one there (docs/protocols.md gives the measured difference).
    """
    return mask[np.ix_(_centre_indices(mask.shape[0], height), _centre_indices(mask.shape[1], width))]


def _centre_indices(old: int, new: int) -> NDArray[np.intp]:
    indices: NDArray[np.intp] = ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
    return indices
