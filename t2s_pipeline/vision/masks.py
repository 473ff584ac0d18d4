"""Masks as COCO run lengths: encode, decode, check, and how much two masks share.

Encoding is pycocotools'. Decoding is ours: its C decoder trusts the counts it is given and reads and writes
past its buffers when they lie, and once they are checked the mask is one ``repeat`` away.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pycocotools import mask as coco

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import MAX_PIXELS

RLE_TYPE = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("counts", pa.string())])
"""The Arrow type of a mask column: COCO's compressed run lengths, column-major, first run background."""

MAX_COUNTS_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Rle:
    """A binary mask of ``height`` × ``width`` pixels as COCO compressed run lengths."""

    height: int
    width: int
    counts: str

    @property
    def area(self) -> int:
        """Target pixels. Raises InputError for malformed run lengths."""
        return int(run_lengths(self.counts)[1::2].sum())

    def _coco(self) -> dict:
        return {"size": [self.height, self.width], "counts": self.counts.encode("ascii")}

    def as_arrow(self) -> dict:
        """The value for a column of ``RLE_TYPE``."""
        return {"height": self.height, "width": self.width, "counts": self.counts}

    @classmethod
    def from_arrow(cls, value: dict) -> "Rle":
        return cls(value["height"], value["width"], value["counts"])


def encode(mask: np.ndarray) -> Rle:
    """Run lengths of a boolean or 0/1 mask (H, W)."""
    height, width = mask.shape
    counts = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return Rle(height, width, counts.decode("ascii"))


def from_run_ends(height: int, width: int, ends: np.ndarray, starts_with_target: bool) -> Rle:
    """A mask from the places, column by column, at which its pixels change (1-D, increasing, in pixels)."""
    first = [0] if starts_with_target else []
    bounds = np.concatenate([[0], ends, [height * width]])
    runs = [*first, *np.diff(bounds).tolist()]
    counts = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]
    return Rle(height, width, counts.decode("ascii"))


def decode(rle: Rle) -> np.ndarray:
    """The boolean mask (H, W). The run lengths are checked first.

    Raises:
        InputError: if the run lengths are malformed or do not fill the mask.
    """
    runs = check(rle)
    is_target = np.arange(runs.size) % 2 == 1
    return np.repeat(is_target, runs).reshape((rle.width, rle.height)).T


def check(rle: Rle) -> np.ndarray:
    """The run lengths (int64), proved safe to decode: size caps, alphabet, and total equal to height × width.

    Raises:
        InputError: naming the first thing that is wrong.
    """
    if rle.height <= 0 or rle.width <= 0:
        raise InputError(f"mask size {rle.height}×{rle.width} is not positive")
    if len(rle.counts) > MAX_COUNTS_BYTES:
        raise InputError(f"mask run lengths are {len(rle.counts)} bytes, more than {MAX_COUNTS_BYTES}")
    if rle.height * rle.width > MAX_PIXELS:
        raise InputError(f"mask size {rle.height}×{rle.width} is more than {MAX_PIXELS:,} pixels")
    runs = run_lengths(rle.counts)
    # The longest run first: a sum of numbers without bound could wrap around to the right total.
    total = int(runs.sum()) if runs.max() <= MAX_PIXELS else int(runs.max())
    if total != rle.height * rle.width:
        raise InputError(f"mask runs cover {total} pixels, not {rle.height}×{rle.width}")
    return runs


def run_lengths(counts: str) -> np.ndarray:
    """The run lengths (int64) that COCO's compressed string stands for.

    Six bits a character from ``'0'`` (48) on: five of value, one for "more follows"; from the fourth run
    on, a run is stored as its difference from the run two before (the format of COCO's mask API).

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
    # The first run is absolute, the second and third too; every other is relative to the run two before,
    # so each parity class is a running sum.
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    if runs.min() < 0:
        raise InputError("mask run lengths hold a negative run")
    return runs


def intersection_union(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Pixels in both masks, and pixels in either; two boolean masks of one shape."""
    intersection = int(np.count_nonzero(a & b))
    return intersection, int(np.count_nonzero(a)) + int(np.count_nonzero(b)) - intersection


def nearest(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask at another size: each new pixel takes the old one under its centre (Pillow's NEAREST)."""
    return mask[np.ix_(nearest_indices(mask.shape[0], height), nearest_indices(mask.shape[1], width))]


def nearest_indices(old: int, new: int) -> np.ndarray:
    """For each of ``new`` pixels along a side, the one of ``old`` that lies under its centre."""
    return ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
