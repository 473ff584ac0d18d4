"""Rasters as people have them, odd and broken: answered with a note, or one sentence, and nothing half written."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("shapely")

import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from tests.scenes.painted import UTM, answer_by_colour, painted, save
from tests.steps.test_scene_answers import FILES, Worker, ask

IMAGE = painted(60, 80, [(10, 12, 50, 40)])
POINTS = [GroundControlPoint(row, col, 10 + col / 100, 50 - row / 100) for row in (0, 60) for col in (0, 80)]
COEFFICIENTS = [1.0, *[0.0] * 19]
POLYNOMIALS = RPC(
    height_off=0, height_scale=500, lat_off=50, lat_scale=1, line_den_coeff=COEFFICIENTS, line_num_coeff=COEFFICIENTS,
    line_off=30, line_scale=30, long_off=10, long_scale=1, samp_den_coeff=COEFFICIENTS, samp_num_coeff=COEFFICIENTS,
    samp_off=40, samp_scale=40,
)  # fmt: skip


def without_place(path: Path, **options: object) -> Path:
    return save(path, IMAGE, crs=None, transform=None, **options)


def thirteen_bands(path: Path) -> Path:
    values = np.dstack([IMAGE, np.zeros((60, 80, 10), np.uint8)])
    return save(path, values, photometric="MINISBLACK")


ANSWERED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no CRS": (without_place, "states no coordinate reference system: positions are in pixels"),
    "control points": (
        lambda path: save(path, IMAGE, transform=None, crs="EPSG:4326", gcps=POINTS),
        "It has ground control points and no grid",
    ),
    "polynomials": (lambda path: without_place(path, rpcs=POLYNOMIALS), "It has rational polynomials"),
    "rotated": (lambda path: save(path, IMAGE, transform=UTM @ Affine.rotation(30)), ""),
    "southern row first": (lambda path: save(path, IMAGE, transform=Affine(0.5, 0, 5e5, 0, 0.5, 5e6)), ""),
    "degrees": (lambda path: save(path, IMAGE, crs="EPSG:4326", transform=Affine(1e-5, 0, 10, 0, -1e-5, 60)), ""),
    "web map": (lambda path: save(path, IMAGE, crs="EPSG:3857", transform=Affine(1, 0, 1e6, 0, -1, 8e6)), ""),
    "thirteen bands": (thirteen_bands, "It has 13 bands: bands 1, 2, 3 are shown as red, green, blue"),
}
AREAS = {"no CRS": None, "control points": None, "polynomials": None, "rotated": 0.25 / 0.9996**2}
"""Square metres per pixel."""


@pytest.mark.parametrize("kind", ANSWERED)
def test_an_odd_raster_is_answered_and_its_mask_lies_on_it(kind: str, tmp_path: Path):
    make, note = ANSWERED[kind]
    path = make(tmp_path / "scene.tif")
    (answer,) = ask(tmp_path, Worker(), [path])
    assert answer.fault == "" and (note in " ".join(answer.notes) if note else answer.notes == ())
    (feature,) = answer.features
    with rasterio.open(path) as scene, rasterio.open(answer.asked.folder / "mask.tif") as mask:
        assert (mask.crs, mask.transform, mask.shape) == (scene.crs, scene.transform, scene.shape)
        assert np.count_nonzero(mask.read(1) == 1) == feature.pixels > 800
    if kind in AREAS:
        share = AREAS[kind]
        assert feature.area_m2 == (None if share is None else pytest.approx(feature.pixels * share, rel=1e-3))


def sparse(path: Path) -> Path:
    """A raster of 300,000 × 300,000 pixels, in a file of a few hundred kilobytes."""
    options = {"tiled": True, "blockxsize": 8192, "blockysize": 8192, "sparse_ok": True, "bigtiff": "yes"}
    settings = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:32632", "transform": UTM}
    with rasterio.open(path, "w", width=300_000, height=300_000, **settings, **options):
        pass
    return path


def text(path: Path) -> Path:
    path.write_text("Where are the ships?\n")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def cut_short(path: Path) -> Path:
    data = save(path, np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "all nodata": (lambda path: save(path, np.zeros((8, 8, 3), np.uint8), nodata=0), "every pixel is nodata"),
    "not finite": (lambda path: save(path, np.full((8, 8, 1), np.nan, np.float32)), "nodata or not finite"),
    "sparse": (sparse, "has 300,000 × 300,000 pixels, more than 200,000 per side: cut out the part"),
    "text": (text, "cannot be read as a raster"),
    "folder": (folder, "is no file"),
    "missing": (lambda path: path, "There is no file"),
    "cut short": (cut_short, "cannot be read as a raster"),
    "beyond the CRS": (lambda path: save(path, IMAGE, transform=Affine(0.5, 0, 1e30, 0, -0.5, 1e30)), "can show"),
    "not on Earth": (lambda path: save(path, IMAGE, crs='LOCAL_CS["grid",UNIT["metre",1]]'), "reference system"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_broken_raster_is_one_sentence_and_nothing_is_written(kind: str, tmp_path: Path):
    make, words = REFUSED[kind]
    path = make(tmp_path / "scene.tif")
    (answer,) = ask(tmp_path, Worker(), [path])
    assert words in answer.fault and str(path) in answer.fault and "\n" not in answer.fault
    assert answer.fault.endswith(".") and not answer.asked.folder.exists()
    assert not [file for file in (tmp_path / "answers").rglob("*") if file.is_file()]


def test_a_raster_that_changes_while_it_is_read_is_one_sentence(tmp_path: Path):
    path = save(tmp_path / "scene.tif", painted(150, 200, [(10, 12, 50, 40)]))

    def launch(arguments: Sequence[str]) -> None:
        for answerer in answer_by_colour(Path(arguments[2])):
            answer = answerer.ask

            def changing(images, question, answer=answer):
                save(path, painted(150, 200, [(60, 12, 90, 40)]))
                return answer(images, question)

            answerer.ask = changing

    (answer,) = ask(tmp_path, launch, [path])
    assert answer.fault == f"{path} changed while it was read: run the same command again when it is complete."
    assert not answer.asked.folder.exists()
    (again,) = ask(tmp_path, Worker(), [path])
    assert again.fault == "" and set(file.name for file in again.asked.folder.iterdir()) == FILES


def test_an_answer_stays_while_its_raster_is_broken(tmp_path: Path):
    path = save(tmp_path / "scene.tif", IMAGE)
    (answer,) = ask(tmp_path, Worker(), [path])
    before = {file.name: file.read_bytes() for file in answer.asked.folder.iterdir()}
    path.write_bytes(path.read_bytes()[:300])
    (broken,) = ask(tmp_path, Worker(), [path])
    assert "cannot be read as a raster" in broken.fault
    assert {file.name: file.read_bytes() for file in answer.asked.folder.iterdir()} == before
    assert json.loads(before["answer.json"])["question"] == "Where?"
