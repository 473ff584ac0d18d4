"""The masks that the decoder's logits stand for, with the segmenter's own scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from t2s_pipeline.segmenters.upsampling import union
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject


@dataclass(frozen=True)
class ScoredMask:
    """The mask of one prompt set.

    Attributes:
        mask: bool (height, width), the union over the set's objects.
        scores: the segmenter's own estimate of each object's IoU, in the order of the objects.
    """

    mask: NDArray[np.bool_]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class ScoredRunLengths:
    """The masks of one prompt set as run lengths, one per requested size, and the scores of its objects."""

    masks: tuple[masks.Rle, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class DecodedObjects:
    """The distinct objects of some prompt sets.

    Attributes:
        index: the index of each object in ``logits`` and ``scores``.
        logits: mask logits (n, S/4, S/4), S the side of the segmenter's square.
        scores: the estimated IoU of each object.
    """

    index: dict[PromptObject, int]
    logits: Tensor
    scores: list[float]

    def mask(self, items: Sequence[PromptObject], out: Frame) -> Tensor:
        """The mask of a prompt set, bool (height, width) on the device: the union over its objects."""
        return union(self.logits[list(dict.fromkeys(self.index[item] for item in items))], out)

    def scores_of(self, items: Sequence[PromptObject]) -> tuple[float, ...]:
        """The scores of a prompt set, in the order of its objects."""
        return tuple(self.scores[self.index[item]] for item in items)


def run_lengths(mask: Tensor) -> masks.Rle:
    """COCO run lengths of a bool (height, width) mask. Only the positions where runs end leave the device."""
    height, width = mask.shape
    columns = mask.T.flatten()
    ends = (columns[1:] != columns[:-1]).nonzero()[:, 0] + 1
    return masks.from_run_ends(height, width, ends.cpu().numpy(), bool(columns[0]))
