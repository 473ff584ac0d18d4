"""Whether the tiles of a large scene show in the result: the same scene asked with four tile sizes and offsets.

    .venv/bin/python -m tests.benchmarks.scene_tilings                    (objects are known by their colour)
    .venv-worker/bin/python -m tests.benchmarks.scene_tilings sam2-mini   (a segmenter makes the masks)

A second argument is the side of the scene in pixels (4,000).

The scene is painted, and boxes come from the colour of its objects, so that only tiling, segmenting and merging count.
Beside ours stands the way of segment-geospatial, written plainly: each tile is normalized by itself, and of masks that
overlap the first one stays as it is.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes.answering import ObjectMask
from t2s_pipeline.scenes.piece import SceneObject
from t2s_pipeline.scenes.search import Search
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import Tiling
from tests.scenes.painted import UTM, ByColour, painted

TILES = ((1.0, (0, 0)), (1.25, (211, 97)), (1.64, (400, 13)), (2.0, (0, 0)))
"""The sides of the tiles in sides of the segmenter's square, and where the grid of tiles begins."""

BLOCK = 1000

Placed = tuple[tuple[int, int], NDArray[np.bool_]]
"""A mask and its corner x, y."""


@dataclass
class BySegmenter(ByColour):
    """Boxes by colour, and masks by a segmenter."""

    segmenter: object = None

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PromptObject]) -> list[ObjectMask]:
        """The mask of every prompt."""
        frame = Frame(image.shape[1], image.shape[0])
        embedding = self.segmenter.encode(image)
        decoded = self.segmenter.decode(embedding, [[item] for item in prompts], frame, frame)
        return [ObjectMask(item.mask, float(item.scores[0])) for item in decoded]


def answerer_of(name: str) -> ByColour:
    """An answerer with the segmenter of that name; empty: by colour alone."""
    if not name:
        return ByColour(segmenter_side=512)
    from t2s_pipeline.segmenters.load import load_segmenter

    segmenter = load_segmenter(name, "cpu")
    return BySegmenter(segmenter_side=segmenter.frame.width, segmenter=segmenter)


def write_scene(path: Path, side: int) -> Path:
    """A square scene with four objects per million pixels. It is written block by block."""
    profile = {"width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32632", "transform": UTM}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, compress="deflate", **profile) as file:
        for y in range(0, side, BLOCK):
            for x in range(0, side, BLOCK):
                rng = np.random.default_rng(x * side + y)
                corners = [(int(rng.integers(10, 300)) + 500 * i, int(rng.integers(10, 300)) + 500 * j)
                           for i in range(2) for j in range(2)]  # fmt: skip
                block = painted(BLOCK, BLOCK, [(a, b, a + int(rng.integers(20, 170)), b + 90) for a, b in corners])
                file.write(np.moveaxis(block, 2, 0), window=Window(x, y, BLOCK, BLOCK))
    return path


def ours(path: Path, tiling: Tiling, answerer: ByColour) -> list[Placed]:
    """The objects that the search finds."""
    with open_scene(path) as scene, tempfile.TemporaryDirectory() as folder:
        return drawn(Search(scene, "", tiling, 0, Path(folder)).run(answerer, NoProgress())[1])


def as_samgeo(path: Path, tiling: Tiling, answerer: ByColour) -> list[Placed]:
    """Every tile normalized by itself; first come, first kept."""
    kept_masks: list[Placed] = []
    with open_scene(path) as scene:
        taken = np.zeros((scene.height, scene.width), bool)
        for view in tiling.plan(scene.width, scene.height)[1:]:
            image, _ = scene.read(view)
            low, high = np.percentile(image, (2, 98))
            tile = (np.clip((image - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)
            for item in answerer.segment(tile, answerer.ask([tile], "")[0].objects):
                rows, columns = (np.flatnonzero(item.mask.any(axis=axis)) for axis in (1, 0))
                if not rows.size:
                    continue
                mask = item.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                x, y = view.x + int(columns[0]), view.y + int(rows[0])
                part = taken[y : y + mask.shape[0], x : x + mask.shape[1]]
                if not (part & mask).any():
                    part |= mask
                    kept_masks.append(((x, y), mask))
    return kept_masks


def drawn(items: list[SceneObject]) -> list[Placed]:
    """The masks of objects with their corners."""
    masks = []
    for item in items:
        x0, y0, x1, y1 = (int(np.floor(item.bounds[0])), int(np.floor(item.bounds[1])), *map(int, item.bounds[2:]))
        masks.append(((x0, y0), item.at(np.arange(x0, x1 + 1) + 0.5, np.arange(y0, y1 + 1) + 0.5)))
    return masks


def mean_iou(one: list[Placed], other: list[Placed], side: int) -> float:
    """The mean over the objects of one run of the IoU with the object of the other run that they meet most."""
    labels = np.zeros((side + 1, side + 1), np.int32)
    for number, ((x, y), mask) in enumerate(other, start=1):
        labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = number
    ious = []
    for (x, y), mask in one:
        shared = np.bincount(labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask])
        best = int(shared[1:].argmax()) + 1 if shared.size > 1 else 0
        union = mask.sum() + other[best - 1][1].sum() - shared[best] if best else 1
        ious.append(shared[best] / union if best else 0.0)
    return float(np.mean(ious)) if ious else 0.0


def agreement(
    path: Path, side: int, way: Callable[[Path, Tiling, ByColour], list[Placed]], answerer: ByColour
) -> tuple[list[int], list[float]]:
    """The number of objects of each run, and the mean IoU of each pair of runs."""
    sides = [round(times * answerer.segmenter_side) for times, _ in TILES]
    tilings = [Tiling(tile, tile // 4, origin=origin) for tile, (_, origin) in zip(sides, TILES, strict=True)]
    runs = [way(path, tiling, answerer) for tiling in tilings]
    return [len(run) for run in runs], [mean_iou(one, other, side) for one, other in combinations(runs, 2)]


def compare(folder: Path, segmenter: str = "", side: int = 4000) -> None:
    """Print how well runs with other tiles agree."""
    path = write_scene(folder / "scene.tif", side)
    truth = 4 * (side // BLOCK) ** 2
    answerer = answerer_of(segmenter)
    for name, way in (("ours", ours), ("tile by tile", as_samgeo)):
        counts, ious = agreement(path, side, way, answerer)
        listed = ", ".join(map(str, counts))
        print(f"{name}: {listed} objects of {truth}; mean IoU between runs {np.mean(ious):.4f}, least {min(ious):.4f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        compare(Path(scratch), *sys.argv[1:2], *map(int, sys.argv[2:3]))
