"""`t2s ask` as a person runs it: the real command, the real worker, real rasters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dagster")

import pyogrio
import rasterio
import rasterio.features
import shapely

from t2s_pipeline.core.settings import REPO, Settings
from tests.commands.test_cli import t2s
from tests.scenes.test_answer_files import RASTERS

WORKER = Settings.from_env().worker_python
needs_worker = pytest.mark.skipif(not WORKER.exists(), reason=f"no worker environment at {WORKER}: make setup")
pytestmark = pytest.mark.orchestrator

QUESTION = "Where is the largest building?"


def ask(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "t2s_pipeline.cli", "ask", *map(str, arguments)]
    environment = {**os.environ, "T2S_HOME": str(home), "COLUMNS": "300"}
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=1800, check=False)


@pytest.mark.slow
@needs_worker
def test_a_question_and_a_persons_box_on_every_raster(tmp_path: Path):
    """A file that is no raster is one sentence, and the others are answered. The same again is not answered again."""
    none = tmp_path / "none.tif"
    none.write_text("no raster")
    out = tmp_path / "out"
    first = ask(tmp_path / "home", RASTERS[1], none, QUESTION, "--out", out)
    assert first.returncode == 1, first.stdout + first.stderr
    assert first.stderr.splitlines()[-1].startswith(f"t2s: {none} cannot be read as a raster")
    assert "zero-shot-mini is the embedded miniature: it knows drawn scenes only" in first.stdout
    (answer,) = (json.loads(path.read_text("utf-8")) for path in out.rglob("answer.json"))
    assert answer["question"] == QUESTION and answer["answers"][0]["thought"] in first.stdout
    again = ask(tmp_path / "home", RASTERS[1], none, QUESTION, "--out", out)
    assert "already answered; --fresh repeats it" in again.stdout
    box = ("--prompts", "box=10,10,60,60")
    boxes = ask(tmp_path / "home", RASTERS[0].parent, *box, "--out", tmp_path / "boxes")
    assert boxes.returncode == 0, boxes.stdout + boxes.stderr
    folders = sorted(path.parent for path in (tmp_path / "boxes").rglob("mask.tif"))
    assert len(folders) == len(RASTERS)
    objects = sum(holds_together(path, folder) for path, folder in zip(RASTERS, folders, strict=True))
    assert objects >= 3


def holds_together(path: Path, folder: Path) -> int:
    """Check that mask, polygons and JSON of an answer are the same on the raster's own grid; the number of objects."""
    with rasterio.open(path) as scene, rasterio.open(folder / "mask.tif") as mask:
        assert (mask.crs, mask.transform, mask.shape) == (scene.crs, scene.transform, scene.shape)
        values, grid = mask.read(1), mask.transform
    _, table = pyogrio.read_arrow(folder / "objects.gpkg")
    shapes = shapely.from_wkb(table["geom"].to_pylist())
    burnt = np.zeros(values.shape, np.uint8)
    if len(shapes):
        rasterio.features.rasterize(shapes, out=burnt, transform=grid)
    assert np.array_equal(burnt == 1, values == 1)
    content = json.loads((folder / "answer.json").read_text("utf-8"))
    assert [item["area_m2"] for item in content["objects"]] == table["area_m2"].to_pylist()
    return len(shapes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((RASTERS[0], "x" * 10_000), "The question has 10,000 characters, more than 2,000: ask a shorter one."),
        ((RASTERS[0], "  "), "The question is empty."),
        ((RASTERS[0], QUESTION, "--system", "thnk2seg"), "thnk2seg"),
        ((RASTERS[0].parent / "README.md", QUESTION, "--objects", "a.kml"), "a.kml has no known ending"),
        ((REPO / "sql", QUESTION), "holds no raster"),
        (("no-*.tif", QUESTION), "No file matches no-*.tif"),
        ((QUESTION,), "Give an image and a question"),
    ],
    ids=["long", "empty", "system", "objects", "folder", "pattern", "image"],
)
@needs_worker
def test_what_cannot_be_asked_is_one_sentence(arguments: tuple[object, ...], words: str, tmp_path: Path):
    done = t2s(tmp_path, "ask", *arguments, "--out", tmp_path / "out")
    assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "out").exists()
