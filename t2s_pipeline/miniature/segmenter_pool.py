"""A pool of synthetic scenes in memory, so that training does not wait for a scene to be painted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from t2s_pipeline.core.children import process_pool
from t2s_pipeline.datasets.synthetic.look import EMBEDDED, FOREIGN
from t2s_pipeline.datasets.synthetic.scenes import paint_scene

SIDE = 168
TRAIN, HELD_OUT, TEST = 0, 1, 2
"""Streams of seeds. Different streams have no scene in common."""
FOREIGN_SHARE = 0.2
"""Share of scenes in the second look, so that the network does not learn only one palette."""


@dataclass(frozen=True)
class PooledScene:
    """An image, uint8 (SIDE, SIDE, 3), and its instances: bit-packed masks and their categories."""

    image: np.ndarray
    packed: np.ndarray
    categories: tuple[str, ...]

    def masks(self) -> np.ndarray:
        """Bool (instances, SIDE, SIDE)."""
        return np.unpackbits(self.packed, axis=-1, count=SIDE).astype(bool)


def paint_pooled_scene(seed: Sequence[int], foreign_share: float = FOREIGN_SHARE) -> PooledScene:
    """One scene. The same ``seed`` gives the same scene."""
    rng = np.random.default_rng(list(seed))
    scene = paint_scene(rng, look=FOREIGN if rng.random() < foreign_share else EMBEDDED, side=SIDE)
    visible = [instance for instance in scene.instances if instance.mask.sum() >= 12]
    masks = np.array([instance.mask for instance in visible], dtype=bool).reshape(-1, SIDE, SIDE)
    return PooledScene(scene.image, np.packbits(masks, axis=-1), tuple(i.category for i in visible))


def paint_pool(stream: int, count: int, workers: int = 1, foreign_share: float = FOREIGN_SHARE) -> list[PooledScene]:
    """``count`` scenes of a stream, without those that have no instance.

    Args:
        stream: ``TRAIN``, ``HELD_OUT`` or ``TEST``.
        count: number of scenes to paint.
        workers: processes that paint.
        foreign_share: share of scenes in the second look.
    """
    seeds = [(stream, index) for index in range(count)]
    paint = partial(paint_pooled_scene, foreign_share=foreign_share)
    if workers > 1:
        with process_pool(workers) as processes:
            scenes = list(processes.map(paint, seeds, chunksize=32))
    else:
        scenes = [paint(seed) for seed in seeds]
    return [scene for scene in scenes if scene.categories]
