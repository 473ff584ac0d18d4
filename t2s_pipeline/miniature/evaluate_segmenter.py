"""The embedded segmenter's IoU on held-out instances, for good and for poor prompts."""

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
    """The IoU of each instance's mask with the truth, by kind of prompt, at the scene's own resolution.

    Args:
        segmenter: to be evaluated.
        scenes: with their true masks.
        seed: of the random points and shifts.
        only: the kinds to evaluate; empty for all. The prompts are the same in either case.
    """
    frame = Frame.square(SIDE)
    ious: dict[str, list[float]] = defaultdict(list)
    embeddings = segmenter.encode_many([scene.image for scene in scenes])
    for index, (scene, embedding) in enumerate(zip(scenes, embeddings, strict=True)):
        rng = np.random.default_rng([seed, index])
        masks = scene.masks()
        cases: list[tuple[str, np.ndarray, PromptObject]] = []
        for mask in masks:
            prompts = degrade(mask, rng)
            cases += [(kind, mask, item) for kind, item in prompts.items() if not only or kind in only]
        for category in sorted(set(scene.categories)):
            group = masks[[c == category for c in scene.categories]]
            if len(group) > 1 and (not only or GROUP in only):
                points = tuple(point for mask in group for point in points_in(inner(mask), 1, rng))
                truth = np.asarray(group.any(axis=0))
                cases.append((GROUP, truth, PromptObject(tight_box(truth), points)))
        segmented = segmenter.decode(embedding, [[item] for _, _, item in cases], frame, frame)
        for (kind, target, _), segmentation in zip(cases, segmented, strict=True):
            intersection, union = intersection_union(segmentation.mask, target)
            ious[kind].append(float(intersection / union))
    return dict(ious)
