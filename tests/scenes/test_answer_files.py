"""An answer on the map: the mask on the scene's own grid, outlines that are the mask, and areas on Earth."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("shapely")

import pyarrow.parquet as pq
import pyogrio
import pyproj
import rasterio
import rasterio.features
import shapely
from affine import Affine

from t2s_pipeline.scenes.answer_files import AnswerAbout, write_answer
from t2s_pipeline.scenes.areas import Ground
from t2s_pipeline.scenes.features import Feature, features_of
from t2s_pipeline.scenes.piece import Piece, SceneObject
from t2s_pipeline.scenes.request import SceneResult
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import SceneView
from tests.scenes.painted import painted, save

DATA = Path(__file__).resolve().parents[1] / "data" / "scenes"
RASTERS = sorted(DATA.glob("*.tif"))
ABOUT = AnswerAbout("Where <b>is</b> it?", "zero-shot-mini", "f00d")


def an_object(mask: np.ndarray) -> SceneObject:
    height, width = mask.shape
    prompt = PromptObject((1.0, 1.0, 5.0, 5.0), ((2.0, 3.0),))
    piece = Piece.of(SceneView(0, 0, width, height, width, height), mask, prompt, 0.8)
    assert piece is not None
    return SceneObject((piece,), prompt, 0.8, None, 1)


def random_objects(height: int, width: int, seed: int) -> tuple[SceneObject, ...]:
    """Three ragged objects with holes, which may touch and overlap."""
    rng = np.random.default_rng(seed)
    objects = []
    for _ in range(3):
        x, y = rng.integers(0, width // 2), rng.integers(0, height // 2)
        mask = np.zeros((height, width), bool)
        part = mask[y : y + height // 3, x : x + width // 3]
        part |= rng.random(part.shape) < 0.9
        objects.append(an_object(mask))
    return tuple(objects)


def answered(path: Path, objects: tuple[SceneObject, ...], folder: Path, name: str = "objects.gpkg") -> list[Feature]:
    with open_scene(path) as scene:
        features = features_of(objects, scene)
        write_answer(folder, name, scene, features, SceneResult(objects), ABOUT, folder / "tmp")
    return features


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_a_real_raster_gets_a_mask_and_objects_that_fit_it(path: Path, tmp_path: Path):
    with rasterio.open(path) as source:
        grid = source.crs, source.transform, source.shape
        present = source.dataset_mask() != 0
    objects = random_objects(*grid[2], seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answered(path, objects, tmp_path)
        with rasterio.open(tmp_path / "mask.tif") as mask:
            assert (mask.crs, mask.transform, mask.shape) == grid
            assert mask.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and mask.nodata == 255
            values = mask.read(1)
        about, table = pyogrio.read_arrow(tmp_path / "objects.gpkg")
    assert rasterio.crs.CRS.from_user_input(about["crs"]) == grid[0]
    assert np.array_equal(values == 255, ~present)
    geometries = shapely.from_wkb(table["geom"].to_pylist())
    assert shapely.is_valid(geometries).all()
    burnt = rasterio.features.rasterize(geometries, out_shape=grid[2], transform=grid[1])
    assert np.array_equal(burnt == 1, values == 1)
    geod, to_degrees = pyproj.Geod(ellps="WGS84"), pyproj.Transformer.from_crs(grid[0], "EPSG:4326", always_xy=True)
    for geometry, area in zip(geometries, table["area_m2"].to_pylist(), strict=True):
        # Sides of one pixel: a long side of an outline is no geodesic.
        divided = shapely.segmentize(geometry, abs(grid[1].a))
        on_earth = shapely.transform(divided, lambda points: np.array(to_degrees.transform(*points.T)).T)
        assert area == pytest.approx(abs(geod.geometry_area_perimeter(on_earth)[0]), rel=0.005)


def test_specks_go_and_holes_stay(tmp_path: Path):
    mask = np.zeros((60, 80), bool)
    mask[10:40, 10:50] = True
    mask[20:25, 20:30] = False
    mask[50, 70] = True
    (feature,) = answered(save(tmp_path / "s.tif", painted(60, 80, [])), (an_object(mask),), tmp_path)
    assert feature.pixels == 30 * 40 - 5 * 10
    assert [len(part.interiors) for part in feature.outline.geoms] == [1]
    # Pixels of half a metre in UTM, near its central meridian: 0.9996² = 0.9992.
    assert feature.area_m2 == pytest.approx(feature.pixels * 0.25 / 0.9996**2, rel=1e-4)


def test_an_object_of_many_strips_has_one_outline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path / "s.tif", painted(90, 80, []))
    objects = random_objects(90, 80, seed=3)
    whole = answered(path, objects, tmp_path)
    monkeypatch.setattr("t2s_pipeline.scenes.outlines.STRIP_PIXELS", 300)
    parts = answered(path, objects, tmp_path)
    for one, other in zip(whole, parts, strict=True):
        assert one.outline.equals(other.outline) and one.pixels == other.pixels


@pytest.mark.parametrize("name", ["objects.gpkg", "objects.geojson", "objects.parquet"])
def test_every_format_holds_the_objects(name: str, tmp_path: Path):
    path = DATA / "cogeo.tif"
    features = answered(path, random_objects(160, 160, seed=2), tmp_path, name)
    if name.endswith(".parquet"):
        table = pq.read_table(tmp_path / name)
        described = json.loads(table.schema.metadata[b"geo"])
        assert described["version"] == "1.1.0"
        assert described["columns"]["geometry"]["crs"]["id"] == {"authority": "EPSG", "code": 3857}
        geometries = shapely.from_wkb(table["geometry"].to_pylist())
        assert table["bbox"][0].as_py()["xmin"] == geometries[0].bounds[0]
    else:
        about, table = pyogrio.read_arrow(tmp_path / name)
        geometries = shapely.from_wkb(table.column(table.num_columns - 1).to_pylist())
        assert about["crs"] == ("EPSG:4326" if name.endswith(".geojson") else "EPSG:3857")
    assert table.num_rows == len(features)
    assert table["question"].to_pylist() == [ABOUT.question] * len(features)
    assert table["area_m2"].to_pylist() == [feature.area_m2 for feature in features]
    west, south, east, north = features[0].bounds
    if name.endswith(".geojson"):
        assert geometries[0].bounds == pytest.approx((west, south, east, north), abs=1e-6)


@pytest.mark.parametrize("name", ["objects.gpkg", "objects.geojson", "objects.parquet"])
def test_no_object_is_an_answer_too(name: str, tmp_path: Path):
    assert answered(DATA / "cogeo.tif", (), tmp_path, name) == []
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert set(np.unique(mask.read(1))) == {0}
    if not name.endswith(".parquet"):
        assert pyogrio.read_info(tmp_path / name)["features"] == 0


def test_a_rotated_grid_keeps_its_place(tmp_path: Path):
    turned = Affine(0.433, 0.25, 500_000, 0.25, -0.433, 5_000_000)
    path = save(tmp_path / "s.tif", painted(60, 80, []), transform=turned)
    mask = np.zeros((60, 80), bool)
    mask[10:40, 10:50] = True
    (feature,) = answered(path, (an_object(mask),), tmp_path)
    assert feature.geometry.bounds[0] == pytest.approx(500_000 + 0.433 * 10 + 0.25 * 10)
    with rasterio.open(tmp_path / "mask.tif") as file:
        assert file.transform.almost_equals(turned)
    assert feature.area_m2 == pytest.approx(1200 * (0.433**2 + 0.25**2), rel=2e-3)


def test_a_picture_without_a_place_is_answered_in_pixels(tmp_path: Path):
    path = save(tmp_path / "s.png", painted(60, 80, []), driver="PNG", crs=None, transform=None)
    mask = np.zeros((60, 80), bool)
    mask[10:40, 10:50] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (feature,) = answered(path, (an_object(mask),), tmp_path)
    assert feature.area_m2 is None and feature.bounds is None and feature.pixels == 1200
    assert feature.geometry.bounds == (10, 10, 50, 40)
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["objects"][0]["prompt_on_map"] is None and answer["question"] == ABOUT.question


def test_areas_do_not_depend_on_the_projection(tmp_path: Path):
    """A degree square at 60° north is half as wide as at the equator, in every CRS."""
    degrees = save(
        tmp_path / "d.tif", painted(40, 40, []), crs="EPSG:4326", transform=Affine(0.01, 0, 10, 0, -0.01, 60)
    )
    with open_scene(degrees) as scene:
        ground = Ground(scene.place, 40, 40)
        square = shapely.MultiPolygon([shapely.box(10, 10, 30, 30)])
        expected = abs(
            pyproj.Geod(ellps="WGS84").geometry_area_perimeter(
                shapely.segmentize(shapely.box(10.1, 59.7, 10.3, 59.9), 0.001)
            )[0]
        )
        assert ground.area(square) == pytest.approx(expected, rel=1e-4)
        assert ground.bounds(square) == pytest.approx((10.1, 59.7, 10.3, 59.9))
        assert ground.metres_per_pixel == pytest.approx((1113.2 * 0.5 * 1114.1 * 1.0) ** 0.5, rel=0.01)
