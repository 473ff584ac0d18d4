"""Mined negatives: places that look like the target become negative points, if the segmenter is surer with them.

The paper asks the prompter for negative points, and results get worse (its Table 6): what is not the target is too
diverse for two points that are chosen without looking at the mask. Here the first mask says where the segmenter may
have taken in too much. Look-alikes are found by the segmenter's own embedding. A second mask is kept only if the
segmenter gives it a higher score, object by object, so that most objects keep their first one.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from t2s_pipeline.segmenters.embedding import Embedding
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

AROUND = 0.1
"""How far around the box look-alikes are searched, as a share of its sides."""
APART = 2
"""Cells of the grid that negative points keep between them."""


@torch.inference_mode()
def with_mined_negatives(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    prompt_sets: Sequence[Sequence[PromptObject]],
    source: Frame,
    count: int,
    multimask: bool = False,
) -> list[tuple[PromptObject, ...]]:
    """The prompt sets with negative points added to each object whose mask then gets a higher score.

    Args:
        segmenter: makes the masks.
        embedding: the encoded image.
        prompt_sets: the objects of each answer, in pixels of ``source``.
        source: the frame of the prompts.
        count: the most negative points that are added to an object.
        multimask: as ``Inference.multimask``.
    """
    grid = _features(embedding)
    out = Frame(width=grid.shape[2], height=grid.shape[1])
    distinct = list(dict.fromkeys(item for prompts in prompt_sets for item in prompts))
    first = segmenter.decode(embedding, [[item] for item in distinct], source, out, multimask)
    candidates = {}
    for item, decoded in zip(distinct, first, strict=True):
        points = look_alikes(grid, decoded.mask, _cells(item, decoded.mask, source, out), count)
        if points:
            moved = tuple(_in_frame(point, out, source) for point in points)
            candidates[item] = replace(item, negative_points=(*item.negative_points, *moved))
    second = segmenter.decode(embedding, [[item] for item in candidates.values()], source, out, multimask)
    scores = {item: decoded.scores[0] for item, decoded in zip(distinct, first, strict=True)}
    better = {
        item: changed
        for (item, changed), decoded in zip(candidates.items(), second, strict=True)
        if decoded.mask.any() and decoded.scores[0] > scores[item]
    }
    return [tuple(better.get(item, item) for item in prompts) for prompts in prompt_sets]


def look_alikes(
    grid: Tensor, mask: NDArray[np.bool_], window: tuple[slice, slice], count: int
) -> list[tuple[int, int]]:
    """The cells outside a mask that look most like the cells inside it.

    Args:
        grid: unit vectors (channels, height, width).
        mask: bool (height, width).
        window: the rows and columns in which cells are searched.
        count: the most cells.

    Returns:
        Rows and columns, the likest first. Each is likelier the target than the mean of the cells outside of the mask
        in the window, and they lie ``APART`` from each other. None if nothing is in the mask, or all of the window is.
    """
    if not mask.any():
        return []
    inside = torch.as_tensor(mask, device=grid.device)
    prototype = F.normalize(grid[:, inside].mean(dim=1), dim=0)
    likeness = torch.einsum("c,chw->hw", prototype, grid).float().cpu().numpy()
    free = np.zeros_like(mask)
    free[window] = ~mask[window]
    if not free.any():
        return []
    least = float(likeness[free].mean())
    cells: list[tuple[int, int]] = []
    rows, columns = np.nonzero(free)
    # Equal values in the order of rows and columns: the result is the same on every machine.
    for place in np.argsort(-likeness[rows, columns], kind="stable"):
        cell = int(rows[place]), int(columns[place])
        if likeness[cell] <= least or len(cells) == count:
            break
        if all(max(abs(cell[0] - row), abs(cell[1] - column)) >= APART for row, column in cells):
            cells.append(cell)
    return cells


def _features(embedding: Embedding) -> Tensor:
    """The embedding on the grid of stride 8, as unit vectors: what a place means beside how it looks."""
    middle = embedding.high_res[1].float()
    coarse = F.interpolate(embedding.image.float(), middle.shape[-2:], mode="bilinear", align_corners=False)
    both = torch.cat([F.normalize(coarse, dim=1), F.normalize(middle, dim=1)], dim=1)
    return F.normalize(both, dim=1)[0]


def _cells(item: PromptObject, mask: NDArray[np.bool_], source: Frame, out: Frame) -> tuple[slice, slice]:
    """The cells in the object's box and a little around it; without a box, around its mask."""
    if item.bbox is not None:
        x0, y0, x1, y1 = _scaled(item.bbox, source, out)
    elif mask.any():
        rows, columns = np.nonzero(mask)
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    else:
        return slice(0, 0), slice(0, 0)
    dx, dy = max(1.0, AROUND * (x1 - x0)), max(1.0, AROUND * (y1 - y0))
    top, bottom = max(0, int(y0 - dy)), min(out.height, int(np.ceil(y1 + dy)))
    left, right = max(0, int(x0 - dx)), min(out.width, int(np.ceil(x1 + dx)))
    return slice(top, bottom), slice(left, right)


def _scaled(box: Box, source: Frame, out: Frame) -> Box:
    moved = PromptObject(box).moved(source, out).bbox
    assert moved is not None
    return moved


def _in_frame(cell: tuple[int, int], grid: Frame, source: Frame) -> Point:
    """The centre of a cell (row, column), in pixels of the prompts' frame."""
    return (cell[1] + 0.5) * source.width / grid.width, (cell[0] + 0.5) * source.height / grid.height
