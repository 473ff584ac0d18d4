"""From mask logits to the union of masks at any size.  [torch]

A pixel of the upsampled mask can only be target where one of the logits it lies between is positive. On a CPU only
the rows and columns are computed of which that is true, unless they are most of the mask (torch's own interpolation is
faster for the whole of it); on a GPU looking for them would cost more than it saves.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from t2s_pipeline.vision.geometry import Frame

PIXELS_AT_ONCE = 16_000_000
"""Upsampled logits in one call on a GPU."""

WORTH_CROPPING = 0.3
"""Share of the mask above which the whole is computed."""


def union(logits: Tensor, out: Frame) -> Tensor:
    """Where any of the logits (n, h, w), upsampled bilinearly as sam2 does, is positive: bool (height, width)."""
    if logits.device.type == "cpu":
        return _union_where_positive(logits.float(), out)
    found = torch.zeros((out.height, out.width), dtype=torch.bool, device=logits.device)
    if not len(logits):
        return found
    for some in logits.split(max(1, PIXELS_AT_ONCE // (out.width * out.height))):
        found |= _everywhere(some.float(), out).any(0)
    return found


def _everywhere(logits: Tensor, out: Frame) -> Tensor:
    whole = F.interpolate(logits[:, None], (out.height, out.width), mode="bilinear", align_corners=False)
    return whole[:, 0] > 0


def _union_where_positive(logits: Tensor, out: Frame) -> Tensor:
    found = torch.zeros((out.height, out.width), dtype=torch.bool)
    for mask in logits:
        positive = mask > 0
        rows = _between(positive.any(1), out.height)
        columns = _between(positive.any(0), out.width)
        if rows is None or columns is None:
            continue
        place, (top, bottom, down) = rows
        beside, (left, right, across) = columns
        if len(top) * len(left) > WORTH_CROPPING * out.width * out.height:
            found |= _everywhere(mask[None], out)[0]
            continue
        # Only source rows that are looked at, widened first: there are fewer of them than of the target's.
        first, last = int(top[0]), int(bottom[-1]) + 1
        part = mask[first:last]
        wide = torch.lerp(part.index_select(1, left), part.index_select(1, right), across)
        whole = torch.lerp(wide.index_select(0, top - first), wide.index_select(0, bottom - first), down[:, None])
        found[place, beside] |= whole > 0
    return found


def _between(positive: Tensor, size: int) -> tuple[slice, tuple[Tensor, Tensor, Tensor]] | None:
    """The target's rows that lie beside a positive source row, first to last, and what each lies between."""
    places = positive.nonzero()
    if not len(places):
        return None
    low, high, weight = _lies_between(len(positive), size)
    start = int(torch.searchsorted(high, places[0]))
    stop = int(torch.searchsorted(low, places[-1], right=True))
    if start >= stop:  # shrunk so much that no target row lies beside it
        return None
    part = slice(start, stop)
    return part, (low[part], high[part], weight[part])


@lru_cache(maxsize=64)
def _lies_between(source: int, target: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each target row the two source rows it lies between and the second one's weight (half-pixel centres)."""
    at = ((torch.arange(target, dtype=torch.float32) + 0.5) * (source / target) - 0.5).clamp(min=0)
    low = at.long()
    return low, (low + 1).clamp(max=source - 1), at - low
