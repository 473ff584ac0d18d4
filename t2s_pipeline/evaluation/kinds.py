"""The wider prompt vocabulary in ``label_quality``: rotated boxes, chains, and the best kind per object."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.prompting.combinations import ADAPTIVE
from t2s_pipeline.pseudo_labels.ideal_figures import ideal_chain, ideal_rotated_box
from t2s_pipeline.segmenters.embedding import Embedding
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject

KINDS = ("bbox", "bbox+pos2", "rotated", "chain")
"""The kinds that an adaptive answer chooses from."""

Prompts = Mapping[str, tuple[PromptObject, ...]]
"""The name of a kind → the prompts of each instance."""


def wider_prompts(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    instances: Sequence[NDArray[np.bool_]],
    square: Frame,
    upright: Prompts,
) -> dict[str, tuple[PromptObject, ...]]:
    """The prompts of instances as rotated boxes, as chains, and each in the kind that suits it best.

    The last is the yardstick of an adaptive prompter: of each instance, the kind whose mask has the highest IoU with
    it. Of equal kinds, the first of ``KINDS`` counts.

    Args:
        segmenter: makes the masks.
        embedding: the encoded image.
        instances: bool (S, S) each.
        square: the frame of the instances and of the prompts.
        upright: the prompts of the instances as boxes, and as boxes with points.
    """
    prompts = {
        **{name: upright[name] for name in KINDS if name in upright},
        "rotated": tuple(ideal_rotated_box(instance).prompts(square) for instance in instances),
        "chain": tuple(ideal_chain(instance).prompts(square) for instance in instances),
    }
    sets = [[prompts[kind][number]] for number in range(len(instances)) for kind in KINDS]
    decoded = iter(segmenter.decode(embedding, sets, square, square))
    best = []
    for number, instance in enumerate(instances):
        ious = {kind: _iou(next(decoded).mask, instance) for kind in KINDS}
        best.append(prompts[max(KINDS, key=lambda kind: ious[kind])][number])
    return {"rotated": prompts["rotated"], "chain": prompts["chain"], ADAPTIVE: tuple(best)}


def _iou(mask: NDArray[np.bool_], instance: NDArray[np.bool_]) -> float:
    intersection, union = masks.intersection_union(mask, instance)
    return intersection / union if union else 0.0
