"""Large scenes: whether the tiling shows in the result, and how much time and memory a scene takes.

    .venv/bin/python -m tests.benchmarks.scenes [megapixels ...]      (default: 1 25 400)

The objects are painted, and the system knows them by their colour. So the numbers are those of reading, tiling, merging
and writing, not those of a model. Beside ours stands the way of segment-geospatial, written plainly: each tile is
normalized by itself, and of masks that overlap the first one stays as it is.
"""

import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes.answer_files import AnswerAbout, write_answer
from t2s_pipeline.scenes.features import features_of
from t2s_pipeline.scenes.piece import SceneObject
from t2s_pipeline.scenes.request import SceneResult
from t2s_pipeline.scenes.search import Search
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import Tiling
from tests.scenes.painted import UTM, ByColour, blobs, is_target, painted

TILINGS = (Tiling(512, 128), Tiling(640, 160, origin=(211, 97)), Tiling(840, 210, origin=(400, 13)), Tiling(1024, 256))
BLOCK = 1000


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


def ours(path: Path, tiling: Tiling) -> list[SceneObject]:
    """The objects that the search finds."""
    with open_scene(path) as scene, tempfile.TemporaryDirectory() as folder:
        return Search(scene, "", tiling, 0, Path(folder)).run(ByColour(segmenter_side=512), NoProgress())[1]


def as_samgeo(path: Path, tiling: Tiling) -> list[tuple[tuple[int, int], NDArray[np.bool_]]]:
    """Masks with their corners: every tile normalized by itself, first come, first kept."""
    kept_masks: list[tuple[tuple[int, int], NDArray[np.bool_]]] = []
    with open_scene(path) as scene:
        taken = np.zeros((scene.height, scene.width), bool)
        for view in tiling.plan(scene.width, scene.height)[1:]:
            image, _ = scene.read(view)
            low, high = np.percentile(image, (2, 98))
            tile = (np.clip((image - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)
            for x0, y0, x1, y1 in blobs(tile):
                mask = is_target(tile)[int(y0) : int(y1), int(x0) : int(x1)]
                x, y = view.x + int(x0), view.y + int(y0)
                part = taken[y : y + mask.shape[0], x : x + mask.shape[1]]
                if not (part & mask).any():
                    part |= mask
                    kept_masks.append(((x, y), mask))
    return kept_masks


def drawn(items: list[SceneObject], side: int) -> list[tuple[tuple[int, int], NDArray[np.bool_]]]:
    """The masks of objects with their corners."""
    masks = []
    for item in items:
        x0, y0, x1, y1 = (int(np.floor(item.bounds[0])), int(np.floor(item.bounds[1])), *map(int, item.bounds[2:]))
        masks.append(((x0, y0), item.at(np.arange(x0, x1 + 1) + 0.5, np.arange(y0, y1 + 1) + 0.5)))
    return masks


def mean_iou(one: list, other: list, side: int) -> float:
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
    return float(np.mean(ious))


def compare(folder: Path, side: int = 4000) -> None:
    """Print how well runs with other tiles agree."""
    path = write_scene(folder / "scene.tif", side)
    truth = 4 * (side // BLOCK) ** 2
    for name, runs in (
        ("ours", [drawn(ours(path, tiling), side) for tiling in TILINGS]),
        ("tile by tile", [as_samgeo(path, tiling) for tiling in TILINGS]),
    ):
        ious = [mean_iou(one, other, side) for one, other in combinations(runs, 2)]
        counts = ", ".join(str(len(run)) for run in runs)
        print(f"{name}: {counts} objects of {truth}; mean IoU between runs {np.mean(ious):.4f}, least {min(ious):.4f}")


def measure(megapixels: int) -> None:
    """Print speed and memory of a whole answer about a scene of that size, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        side = round((megapixels * 1e6) ** 0.5 / BLOCK) * BLOCK
        path = write_scene(Path(folder) / "scene.tif", side)
        start = time.perf_counter()
        with open_scene(path) as scene:
            tiling = Tiling(840, 105)
            views, objects = Search(scene, "", tiling, 0, Path(folder) / "work").run(
                ByColour(segmenter_side=1024), NoProgress()
            )
            features = features_of(tuple(objects), scene)
            result = SceneResult(tuple(objects), tuple(views))
            write_answer(
                Path(folder), "objects.gpkg", scene, features, result, AnswerAbout("", "", ""), path.parent / "t"
            )
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{megapixels} MP: {megapixels / seconds:.2f} MP/s, {len(objects)} objects, at most {peak:.2f} GB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(int(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            compare(Path(scratch))
        for size in sys.argv[1:] or ("1", "25", "400"):
            # A process of its own: its peak of memory is that of one scene.
            subprocess.run([sys.executable, "-m", "tests.benchmarks.scenes", "measure", size], check=True)
