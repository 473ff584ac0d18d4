"""How well the embedded segmenter cuts out held-out instances, and how much a poor prompt costs it."""

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from t2s_pipeline.miniature.segmenter_pool import SIDE, PooledScene
from t2s_pipeline.miniature.segmenter_prompts import degrade, inner, points_in, tight_box
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.masks import intersection_union

BEST = "box + 2 points"
GROUP = "several instances: box + a point in each"


def prompt_quality(
    segmenter: Sam2Segmenter, scenes: Sequence[PooledScene], seed: int = 0, only: Collection[str] = ()
) -> dict[str, list[float]]:
    """Per kind of prompt, the IoU of every instance's mask with the truth, at the scene's own resolution.

    ``only`` limits the kinds; the prompts drawn are the same either way.
    """
    frame = Frame.square(SIDE)
    ious: dict[str, list[float]] = defaultdict(list)
    embeddings = segmenter.encode_many([scene.image for scene in scenes])
    for index, (scene, embedding) in enumerate(zip(scenes, embeddings, strict=True)):
        rng = np.random.default_rng([seed, index])
        masks = scene.masks()
        asked: list[tuple[str, np.ndarray, PromptObject]] = []
        for mask in masks:
            prompts = degrade(mask, rng)
            asked += [(kind, mask, item) for kind, item in prompts.items() if not only or kind in only]
        for category in sorted(set(scene.categories)):
            group = masks[[c == category for c in scene.categories]]
            if len(group) > 1 and (not only or GROUP in only):
                points = tuple(point for mask in group for point in points_in(inner(mask), 1, rng))
                union = group.any(axis=0)
                asked.append((GROUP, union, PromptObject(tight_box(union), points)))
        found = segmenter.decode(embedding, [[item] for _, _, item in asked], frame, frame)
        for (kind, truth, _), segmentation in zip(asked, found, strict=True):
            intersection, union = intersection_union(segmentation.mask, truth)
            ious[kind].append(intersection / union)
    return dict(ious)
