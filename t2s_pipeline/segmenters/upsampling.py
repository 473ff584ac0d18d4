"""From mask logits to the union of masks at any size.

A pixel of the upsampled mask can only be target if one of the logits around it is positive. On a CPU only the rows and
columns with this property are computed, unless they are most of the mask (torch's own interpolation is faster for the
whole mask). On a GPU the search for them would take longer than it saves.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from t2s_pipeline.vision.geometry import Frame

PIXELS_AT_ONCE = 16_000_000
"""The most upsampled logits of one call on a GPU."""

WORTH_CROPPING = 0.3
"""The share of the mask above which the whole mask is computed."""


def union(logits: Tensor, out: Frame) -> Tensor:
    """The union of n masks.

    Args:
        logits: (n, h, w) mask logits. They are upsampled bilinearly, as in sam2.
        out: the frame of the result.

    Returns:
        bool (height, width) on the device of the logits: true if any of the upsampled logits is positive.
    """
    if logits.device.type == "cpu":
        return _union_where_positive(logits.float(), out)
    mask = torch.zeros((out.height, out.width), dtype=torch.bool, device=logits.device)
    if not len(logits):
        return mask
    for chunk in torch.split(logits, max(1, PIXELS_AT_ONCE // (out.width * out.height))):
        mask |= _everywhere(chunk.float(), out).any(0)
    return mask


def _everywhere(logits: Tensor, out: Frame) -> Tensor:
    whole = F.interpolate(logits[:, None], (out.height, out.width), mode="bilinear", align_corners=False)
    return whole[:, 0] > 0


def _union_where_positive(logits: Tensor, out: Frame) -> Tensor:
    union_mask = torch.zeros((out.height, out.width), dtype=torch.bool)
    for mask in logits:
        positive = mask > 0
        rows = _between(positive.any(1), out.height)
        columns = _between(positive.any(0), out.width)
        if rows is None or columns is None:
            continue
        row_range, (top, bottom, down) = rows
        column_range, (left, right, across) = columns
        if len(top) * len(left) > WORTH_CROPPING * out.width * out.height:
            union_mask |= _everywhere(mask[None], out)[0]
            continue
        # Only the source rows that are needed. Columns are interpolated first: there are fewer source than target rows.
        first, last = int(top[0]), int(bottom[-1]) + 1
        part = mask[first:last]
        wide = torch.lerp(part.index_select(1, left), part.index_select(1, right), across)
        whole = torch.lerp(wide.index_select(0, top - first), wide.index_select(0, bottom - first), down[:, None])
        union_mask[row_range, column_range] |= whole > 0
    return union_mask


def _between(positive: Tensor, size: int) -> tuple[slice, tuple[Tensor, Tensor, Tensor]] | None:
    """The target rows next to a positive source row, from the first to the last, and what ``_neighbours`` says of them.

    None if there is none. The same for columns.
    """
    positions = positive.nonzero()
    if not len(positions):
        return None
    low, high, weight = _neighbours(len(positive), size)
    start = int(torch.searchsorted(high, positions[0]))
    stop = int(torch.searchsorted(low, positions[-1], right=True))
    if start >= stop:  # the target is so small that none of its rows is next to it
        return None
    part = slice(start, stop)
    return part, (low[part], high[part], weight[part])


@lru_cache(maxsize=64)
def _neighbours(source: int, target: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each target row the two source rows around it, and the weight of the second one (half-pixel centres)."""
    position = ((torch.arange(target, dtype=torch.float32) + 0.5) * (source / target) - 0.5).clamp(min=0)
    low = position.long()
    return low, (low + 1).clamp(max=source - 1), position - low
