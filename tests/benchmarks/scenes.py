"""Large scenes: how much time and memory an answer takes.

    .venv/bin/python -m tests.benchmarks.scenes [megapixels ...]      (default: 1 25 400)

The objects are painted, and the system knows them by their colour. So the numbers are those of reading, tiling, merging
and writing, not those of a model. ``scene_tilings.py`` shows whether tiles show in the result.
"""

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes.answer_files import AnswerAbout, write_answer
from t2s_pipeline.scenes.features import features_of
from t2s_pipeline.scenes.request import SceneResult
from t2s_pipeline.scenes.search import Search
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import Tiling
from tests.benchmarks.scene_tilings import BLOCK, write_scene
from tests.scenes.painted import ByColour


def measure(megapixels: int) -> None:
    """Print speed and memory of a whole answer about a scene of that size, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        side = round((megapixels * 1e6) ** 0.5 / BLOCK) * BLOCK
        path = Path(folder) / "scene.tif"
        # In a process of its own: the cache of a writer would count as memory of ours.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(write_scene, path, side).result()
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
        for size in sys.argv[1:] or ("1", "25", "400"):
            # A process of its own: its peak of memory is that of one scene.
            subprocess.run([sys.executable, "-m", "tests.benchmarks.scenes", "measure", size], check=True)
