"""Georeferenced masks go out and come back: exported as GeoTIFF, scored from any grid."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyogrio")

import pyarrow.parquet as pq
import rasterio
from rasterio.warp import calculate_default_transform, reproject

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog
from t2s_pipeline.datasets.custom_vectors import CustomVectors
from t2s_pipeline.datasets.hub_export import export_split
from t2s_pipeline.lake.schema import PREDICTION_REJECTS, SAMPLE_SCORES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.steps.external.score import ForeignAnswers, score_foreign
from t2s_pipeline.steps.files import ReadTables
from t2s_pipeline.steps.runner import Runner
from tests.datasets.maps import rectangle, scene, vectors
from tests.stand_in_worker import StandIn


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A lake with four chips of a scene, and their masks exported to ``exported``."""
    home = tmp_path_factory.mktemp("home")
    scene(home / "maps/images/a.tif", 200, 200)
    shapes = [rectangle(20, 30, 170, 90), rectangle(60, 110, 140, 190)]
    vectors(home / "maps/v.gpkg", shapes, {"kind": ["roof", "roof"]})
    settings = Settings(home, home / "python")
    reader = CustomVectors(home / "maps/images", home / "maps/v.gpkg", "kind", "test", chip=100)
    catalog.add_custom(settings, "roofs", reader)
    runner = Runner(settings, StandIn(settings), lambda _: None)
    runner.run(ReadTables("roofs", "test"))
    export_split(settings, "roofs", "test", home / "exported", with_masks=True)
    return runner


def scored(runner: Runner, folder: Path, name: str) -> tuple[list[float], list[str]]:
    """The IoU of each sample, and the reasons of rejects."""
    score_foreign(runner, ForeignAnswers(name, folder, "roofs", "test"))
    partition = {"system": name, "dataset": "roofs", "split": "test"}
    lake = runner.settings.lake
    scores = read_partition(lake, SAMPLE_SCORES, {**partition, "protocol": "strict"})
    return scores["iou"].to_pylist(), read_partition(lake, PREDICTION_REJECTS, partition)["reason"].to_pylist()


def test_exported_masks_have_the_place_of_their_images_and_score_100(runner: Runner):
    folder = runner.settings.home / "exported"
    rows = pq.read_table(folder / "data").to_pylist()
    assert len(rows) == 4 and {row["crs"] for row in rows} == {"EPSG:32632"}
    for row in rows:
        path = folder / "masks/test" / row["mask"]["path"]
        assert path.read_bytes() == row["mask"]["bytes"]
        with rasterio.open(path) as file:
            assert (file.crs.to_epsg(), tuple(file.transform)[:6]) == (32632, tuple(row["transform"]))
            assert np.count_nonzero(file.read(1) == 255) == row["mask_area"]
    assert scored(runner, folder / "masks/test", "perfect") == ([1.0] * 4, [])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32633"])
def test_a_prediction_in_another_crs_is_scored_where_it_lies(runner: Runner, tmp_path: Path, crs: str):
    for path in (runner.settings.home / "exported/masks/test").iterdir():
        with rasterio.open(path) as file:
            source, grid = file.read(1), file.transform
            transform, width, height = calculate_default_transform(file.crs, crs, 100, 100, *file.bounds)
            values = np.zeros((height * 8, width * 8), np.uint8)
            fine = transform @ rasterio.Affine.scale(1 / 8)
            reproject(source, values, src_transform=grid, src_crs=file.crs, dst_transform=fine, dst_crs=crs)
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": crs, "transform": fine}
        with rasterio.open(tmp_path / path.name, "w", height=height * 8, width=width * 8, **profile) as file:
            file.write(values, 1)
    ious, reasons = scored(runner, tmp_path, f"other-{crs[5:]}")
    assert reasons == [] and min(ious) > 0.97


def test_a_prediction_elsewhere_is_refused_by_name_and_a_resized_one_is_not(runner: Runner, tmp_path: Path):
    first, second, *_ = sorted((runner.settings.home / "exported/masks/test").iterdir())
    for path, transform in ((first, rasterio.Affine.translation(0, 0)), (second, rasterio.Affine.translation(5000, 0))):
        with rasterio.open(path) as file:
            values = np.kron(file.read(1), np.ones((2, 2), np.uint8))
            grid = file.transform @ transform @ rasterio.Affine.scale(0.5)
            profile = {**file.profile, "height": 200, "width": 200, "transform": grid}
        with rasterio.open(tmp_path / path.name, "w", **profile) as file:
            file.write(values, 1)
    ious, reasons = scored(runner, tmp_path, "moved")
    assert sorted(ious) == [0, 0, 0, 1] and sorted(reasons) == ["missing"] * 3 + ["other_place"]
