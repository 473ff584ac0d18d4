"""Polygons on the map become masks of chips, which keep their place, and no polygon vanishes."""

import io
import math
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyogrio")

import pyarrow as pa
import pyogrio
import pyproj
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.features import rasterize

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog, vector_layer
from t2s_pipeline.datasets.custom_options import CustomFiles, MapOptions, custom_reader
from t2s_pipeline.datasets.custom_vectors import CustomVectors
from t2s_pipeline.datasets.reading_options import ReadingOptions
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.pixel_rules import PixelRules
from t2s_pipeline.vision.place import Place
from tests.datasets.maps import in_crs, read_map, rectangle, scene, vectors
from tests.datasets.reading import rejects, samples
from tests.scenes.painted import UTM

SQUARE = rectangle(10, 20, 30, 36)
"""20 × 16 pixels."""


def reader(folder: Path, name: str = "v.gpkg", **options) -> CustomVectors:
    return CustomVectors(folder / "images", folder / name, "kind", "test", **options)


def mask_of(row: dict) -> np.ndarray:
    return masks.decode(Rle.from_arrow(row["mask"]))


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3857", "EPSG:3035"])
@pytest.mark.parametrize("name", ["v.gpkg", "v.geojson", "v.shp"])
def test_vectors_of_any_crs_and_format_become_the_same_mask(tmp_path, crs, name):
    scene(tmp_path / "images/a.tif")
    inner = rectangle(9.6, 19.7, 30.4, 36.3)  # no centre of a pixel lies near its sides
    vectors(tmp_path / name, [in_crs(inner, crs)], {"kind": ["roof"]}, crs=crs)
    (row,) = samples(read_map(tmp_path, reader(tmp_path, name))).values()
    expected = np.zeros((100, 120), bool)
    expected[20:36, 10:30] = True
    assert np.array_equal(mask_of(row), expected)
    assert (row["questions"], row["category"], row["mask_area"]) == (["roof"], "roof", 320)


def test_a_chip_is_the_scene_at_its_place(tmp_path):
    path = scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE, rectangle(90, 80, 200, 200)], {"kind": ["roof", "tree"]})
    tables = read_map(tmp_path, reader(tmp_path, chip=50, overlap=10))
    with rasterio.open(path) as file:
        pixels, transform = file.read(), file.transform
    for image in tables.images.to_pylist():
        x, y, width, height = map(int, image["file_name"].partition("#")[2].split(","))
        assert (width, height, image["crs"]) == (50, 50, "EPSG:32632")
        assert Affine(*image["transform"]).almost_equals(transform @ Affine.translation(x, y))
        stored = np.moveaxis(np.array(Image.open(io.BytesIO(image["bytes"]))), 2, 0)
        assert np.array_equal(stored, pixels[:, y : y + 50, x : x + 50])
    # 120 columns: chips begin at 0, 35, 70; 100 rows: at 0, 25, 50. The roof is in 2 columns and 3 rows at most.
    assert {name.rpartition("-")[0] for name in samples(tables) if name.endswith("roof")} == {
        "a_x0_y0", "a_x0_y25"
    }  # fmt: skip


@pytest.mark.parametrize(("chip", "overlap"), [(0, 0), (32, 0), (50, 10), (64, 32), (400, 0)])
def test_the_chips_hold_what_the_whole_scene_holds(tmp_path, chip, overlap):
    scene(tmp_path / "images/a.tif")
    shapes = [SQUARE, rectangle(25, 30, 70, 95), rectangle(-50, 60, 40, 300)]
    vectors(tmp_path / "v.gpkg", shapes, {"kind": ["roof"] * 3})
    whole = rasterize(shapes, (100, 120), transform=UTM) == 1
    tables = read_map(tmp_path, reader(tmp_path, chip=chip, overlap=overlap))
    images = {row["image_id"]: row for row in tables.images.to_pylist()}
    union = np.zeros_like(whole)
    for row in samples(tables).values():
        window = images[row["image_id"]]["file_name"].partition("#")[2] or "0,0,120,100"
        x, y, width, height = map(int, window.split(","))
        assert np.array_equal(mask_of(row), whole[y : y + height, x : x + width])
        union[y : y + height, x : x + width] |= mask_of(row)
    assert np.array_equal(union, whole)


def test_a_question_per_class_or_per_feature(tmp_path):
    scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE, rectangle(50, 50, 60, 60)], {"kind": ["roof", " roof"]})
    (row,) = samples(read_map(tmp_path, reader(tmp_path))).values()
    assert (row["sample_id"], row["mask_area"]) == ("a-roof", 320 + 100)
    each = samples(read_map(tmp_path, reader(tmp_path, per="feature")))
    assert {key: row["mask_area"] for key, row in each.items()} == {"a-1": 320, "a-2": 100}


def test_scenes_in_folders_of_splits_belong_to_them(tmp_path):
    scene(tmp_path / "images/train/a.tif")
    scene(tmp_path / "images/val/b.tif", transform=UTM @ Affine.translation(1000, 0))
    far = rectangle(1010, 20, 1030, 36)
    vectors(tmp_path / "v.gpkg", [SQUARE, far, rectangle(5000, 0, 5010, 10)], {"kind": ["roof", "barn", "far"]})
    of = reader(tmp_path)
    assert of.splits(tmp_path) == ["train", "val"]
    train, val = (read_map(tmp_path, of, split) for split in ("train", "val"))
    assert (list(samples(train)), list(samples(val))) == (["a-roof"], ["b-barn"])
    assert (rejects(train), rejects(val)) == ([("v.gpkg#3", "outside_of_scenes")], [])
    assert train.notes["detail"].to_pylist() == ["1 of 3 features in 1 chips of 1 scenes"]


BOW = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def test_a_feature_that_cannot_be_used_is_a_reject(tmp_path):
    path = scene(tmp_path / "images/a.tif")
    with rasterio.open(path, "r+") as file:
        file.nodata = 255
        file.write(np.full((3, 50, 50), 255, np.uint8), window=rasterio.windows.Window(70, 50, 50, 50))
    bow = shapely.transform(BOW, lambda points: np.array([UTM @ tuple(p) for p in points]))
    shapes = [
        SQUARE, None, shapely.Polygon(), shapely.centroid(SQUARE), SQUARE.boundary, SQUARE, SQUARE, bow,
        rectangle(10.6, 10.6, 10.9, 10.9), rectangle(80, 60, 90, 70), rectangle(300, 300, 310, 310),
        shapely.force_3d(SQUARE, 7), shapely.MultiPolygon([SQUARE, rectangle(40, 40, 44, 44)]),
        rectangle(60, 55, 80, 65),
    ]  # fmt: skip
    kinds = ["roof"] * 5 + [None, "  "] + ["roof"] * 7
    vectors(tmp_path / "v.gpkg", shapes, {"kind": kinds})
    tables = read_map(tmp_path, reader(tmp_path, per="feature"))
    assert dict(rejects(tables)) == {
        "v.gpkg#2": "no_geometry",
        "v.gpkg#3": "no_geometry",
        "v.gpkg#4": "not_a_polygon",
        "v.gpkg#5": "not_a_polygon",
        "v.gpkg#6": "blank_question",
        "v.gpkg#7": "blank_question",
        "v.gpkg#9": "covers_no_pixel",
        "v.gpkg#10": "covers_no_pixel",
        "v.gpkg#11": "outside_of_scenes",
    }
    areas = {key: row["mask_area"] for key, row in samples(tables).items()}
    assert areas == {"a-1": 320, "a-8": 50, "a-12": 320, "a-13": 336, "a-14": 100}
    assert [kind for kind in tables.notes["kind"].to_pylist() if kind != "features"] == ["repaired_geometry"]


def test_curves_become_polygons(tmp_path):
    scene(tmp_path / "images/a.tif")
    path = vectors(tmp_path / "v.gpkg", [SQUARE], {"kind": ["tank"]}, layer_options={"SPATIAL_INDEX": "NO"})
    centre, radius = UTM @ (50, 50), 15.0  # metres: 30 pixels
    ends = [(centre[0] + sign * radius, centre[1]) for sign in (-1, 1, -1)]
    tops = [(centre[0], centre[1] + sign * radius) for sign in (1, -1)]
    points = [ends[0], tops[0], ends[1], tops[1], ends[2]]
    curve = (
        struct.pack("<BII", 1, 10, 1) + struct.pack("<BII", 1, 8, 5) + b"".join(struct.pack("<dd", *p) for p in points)
    )
    with sqlite3.connect(path) as database:
        ((blob,),) = database.execute("select geom from v")
        header = blob[:3] + bytes([blob[3] & ~0b1110]) + blob[4:8]  # without an envelope
        database.execute("update v set geom = ?", (header + curve,))
    database.close()
    (row,) = samples(read_map(tmp_path, reader(tmp_path))).values()
    assert row["mask_area"] == pytest.approx(math.pi * 30**2, rel=0.005)


def test_a_rotated_scene_in_degrees_or_on_a_web_map_keeps_its_place(tmp_path):
    turned = Affine(0.433, 0.25, 500_000, 0.25, -0.433, 5_000_000)
    scene(tmp_path / "images/a.tif", transform=turned)
    corners = np.array([turned @ point for point in ((9.6, 19.7), (30.4, 19.7), (30.4, 36.3), (9.6, 36.3))])
    vectors(tmp_path / "v.gpkg", [in_crs(shapely.Polygon(corners), "EPSG:4326")], {"kind": ["roof"]}, crs="EPSG:4326")
    (row,) = samples(read_map(tmp_path, reader(tmp_path))).values()
    assert (row["mask_area"], mask_of(row)[20:36, 10:30].all()) == (320, True)


def test_a_long_side_is_a_curve_in_another_crs(tmp_path):
    """A parallel with two corners bends by many pixels in a projection of Europe."""
    grid = Affine(10_000, 0, 3_800_000, 0, -10_000, 3_600_000)
    scene(tmp_path / "images/a.tif", crs="EPSG:3035", transform=grid)
    vectors(tmp_path / "v.geojson", [shapely.box(-30, 20, 60, 50)], {"kind": ["south"]}, crs="EPSG:4326")
    (row,) = samples(read_map(tmp_path, reader(tmp_path, "v.geojson"))).values()
    columns, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(100) + 0.5)
    to_degrees = pyproj.Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True).transform
    _, latitudes = to_degrees(3_800_000 + 10_000 * columns, 3_600_000 - 10_000 * rows)
    assert 0.2 < (latitudes < 50).mean() < 0.8
    assert np.count_nonzero(mask_of(row) != (latitudes < 50)) <= 2


@pytest.mark.parametrize(
    ("fields", "options", "settings_", "words"),
    [
        ({"kind": ["a"]}, {"crs": None}, {}, "states no coordinate reference system"),
        ({"name": ["a"]}, {}, {}, "has no field kind. Its fields: name"),
        ({"kind": ["a"]}, {}, {"layer": "roads"}, "has no layer roads with geometries. It has v"),
        ({"kind": ["a"]}, {"crs": "EPSG:32633"}, {}, "None of the 1 features of .* has a pixel in a scene"),
    ],
)
def test_a_layer_that_cannot_be_used_is_one_sentence(tmp_path, fields, options, settings_, words):
    scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE], fields, **options)
    with pytest.raises(InputError, match=words):
        reader(tmp_path, **settings_).sources(tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("v.gpkg", b"", "is no GPKG file"),
        ("v.gpkg", b"SQLite format 3\0" + bytes(50), "cannot be read as vectors"),
        ("v.geojson", b"<OGRVRTDataSource/>", "is no GeoJSON file"),
        ("v.geojson", b'{"type": "FeatureCollection", "features": [', "cannot be read as vectors|holds no"),
        ("v.geojson", b'{"type": "FeatureCollection", "features": []}', "has no field kind|holds no feature"),
        ("v.shp", b"\0\0\x27\x0a" + bytes(96), "cannot be read as vectors"),
        ("v.kml", b"<kml/>", "has no known ending: vectors are read from .gpkg, .geojson, .json, .shp"),
    ],
)
def test_a_file_without_vectors_is_one_sentence(tmp_path, name, content, words):
    scene(tmp_path / "images/a.tif")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        reader(tmp_path, name).sources(tmp_path, "test")
    with pytest.raises(InputError, match="There is no file"):
        reader(tmp_path, "gone.gpkg").sources(tmp_path, "test")


def test_an_empty_layer_and_several_layers_are_one_sentence(tmp_path):
    scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE][:0], {"kind": []}, layer="roofs")
    with pytest.raises(InputError, match="holds no feature"):
        reader(tmp_path).sources(tmp_path, "test")
    vectors(tmp_path / "v.gpkg", [SQUARE], {"kind": ["a"]}, layer="trees", append=True)
    with pytest.raises(InputError, match="several layers: name one of roofs, trees with --layer"):
        reader(tmp_path).sources(tmp_path, "test")
    assert list(samples(read_map(tmp_path, reader(tmp_path, layer="trees")))) == ["a-a"]


def test_a_scene_that_cannot_be_used_is_a_reject(tmp_path):
    vectors(tmp_path / "v.gpkg", [SQUARE], {"kind": ["roof"]})
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        reader(tmp_path).sources(tmp_path, "test")
    scene(tmp_path / "images/plain.tif", crs=None, transform=None)
    (tmp_path / "images/text.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"No image of .* can be laid under the vectors. The first, images/plain.tif"):
        reader(tmp_path).sources(tmp_path, "test")
    scene(tmp_path / "images/local.tif", crs='LOCAL_CS["grid",UNIT["metre",1]]')
    scene(tmp_path / "images/z.tif")
    tables = read_map(tmp_path, reader(tmp_path))
    reasons = {"images/local.tif": "unsupported_crs", "images/plain.tif": "no_crs", "images/text.tif": "corrupt_image"}
    assert dict(rejects(tables)) == reasons
    assert list(samples(tables)) == ["z-roof"]


def test_a_damaged_scene_sets_its_features_aside(tmp_path):
    path = scene(tmp_path / "images/a.tif")
    scene(tmp_path / "images/b.tif", transform=UTM @ Affine.translation(1000, 0))
    data = bytearray(path.read_bytes())
    data[8:-400] = bytes(len(data) - 408)  # the pixels; the tags are behind them
    path.write_bytes(data)
    vectors(tmp_path / "v.gpkg", [SQUARE, rectangle(1010, 20, 1030, 36)], {"kind": ["roof", "barn"]})
    tables = read_map(tmp_path, reader(tmp_path))
    assert list(samples(tables)) == ["b-barn"] and "corrupt_image" in [reason for _, reason in rejects(tables)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chip": 8}, "A chip of 8 pixels is too small"),
        ({"chip": 100, "overlap": 60}, "cannot overlap by 60: give --overlap from 0 to 50"),
        ({"overlap": 10}, "--overlap needs --chip"),
        ({"per": "object"}, "--per object: give class or feature"),
    ],
)
def test_numbers_that_cannot_be_used_are_one_sentence(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        reader(tmp_path, **options)


@pytest.mark.parametrize(
    ("files", "options", "map_options", "words"),
    [
        ({"vectors": "v.gpkg"}, {}, {"question_field": "kind"}, "--question-field is for --images with --vectors"),
        ({"images": "i", "vectors": "v.gpkg"}, {}, {}, "--vectors needs --question-field"),
        (
            {"images": "i", "vectors": "v.gpkg"},
            {"threshold": 3},
            {"question_field": "kind"},
            "--threshold is for masks",
        ),
        (
            {"images": "i", "vectors": "v.gpkg"},
            {"invert_mask": True},
            {"question_field": "kind"},
            "--invert-mask is for",
        ),
        ({"images": "i", "coco": "c.json"}, {}, {"chip": 64}, "--chip is for --images with --vectors"),
        ({"images": "i", "masks": "m", "queries": "q"}, {}, {"layer": "x"}, "--layer is for --images with --vectors"),
    ],
)
def test_options_that_do_not_belong_together_are_one_sentence(files, options, map_options, words):
    paths = {name: Path(value) for name, value in files.items()}
    with pytest.raises(InputError, match=words):
        custom_reader(CustomFiles(**paths), "test", ReadingOptions(**options), MapOptions(**map_options))


PLACE = st.integers(-40, 160)
SHAPES = st.one_of(
    st.tuples(PLACE, PLACE, st.sampled_from([0.2, 1, 7, 300])).map(
        lambda p: rectangle(p[0], p[1], p[0] + p[2], p[1] + p[2])
    ),
    st.sampled_from([None, shapely.Point(500_010, 4_999_990), shapely.Polygon()]),
    st.lists(st.tuples(PLACE, PLACE), min_size=3, max_size=6).map(
        lambda points: shapely.Polygon([UTM @ point for point in points])
    ),
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(SHAPES, st.sampled_from(["roof", "tree", "", None])), min_size=1, max_size=8),
    st.sampled_from([0, 40, 64]),
)
def test_every_feature_is_in_a_sample_or_a_reject(tmp_path, rows, chip):
    if not (tmp_path / "images").exists():
        scene(tmp_path / "images/train/a.tif")
        scene(tmp_path / "images/test/b.tif", transform=UTM @ Affine.translation(60, 30))
    (tmp_path / "v.gpkg").unlink(missing_ok=True)
    shapes, kinds = zip(*rows, strict=True)
    vectors(tmp_path / "v.gpkg", shapes, {"kind": kinds})
    of = reader(tmp_path, chip=chip, per="feature")
    used, aside = set(), []
    try:
        for split in of.splits(tmp_path):
            tables = read_map(tmp_path, of, split)
            used |= {name.rpartition("-")[2] for name in samples(tables)}
            aside += [source.rpartition("#")[2] for source, _ in rejects(tables)]
    except InputError as fault:
        assert "has a pixel in a scene" in str(fault)
        return
    assert sorted([*used, *aside], key=int) == [str(number + 1) for number in range(len(rows))]


def test_the_catalog_remembers_how_a_map_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("T2S_HOME", str(tmp_path / "home"))
    scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE], {"kind": ["roof"]}, layer="roofs")
    of = reader(tmp_path, layer="roofs", per="feature", chip=64, overlap=8, rules=PixelRules(bands=(3, 2, 1)))
    home = Settings.from_env()
    assert catalog.add_custom(home, "My roofs", of) == "my-roofs"
    assert catalog.find_dataset(home, "my-roofs").reader == of
    again = replace(of, chip=96)
    assert catalog.add_custom(home, "My roofs", again) == "my-roofs"
    assert catalog.find_dataset(home, "my-roofs").reader == again


def test_a_feature_that_is_no_shape_or_no_text_is_a_reject(tmp_path, monkeypatch):
    """As GDAL's drivers give them: a value in another encoding, a geometry of no known type, a coordinate of nan."""
    scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE] * 4, {"kind": ["roof"] * 4})
    nan = shapely.to_wkb(shapely.Polygon([(0, 0), (math.nan, 1), (1, 1), (0, 0)]))
    real = vector_layer.pyogrio.raw.read

    def damaged(*arguments, **options):
        meta, fids, geometries, (values,) = real(*arguments, **options)
        geometries[1], geometries[2], values[3] = nan, b"\1\0\0\0\0", "B\udce4ume"
        return meta, fids, geometries, (values,)

    monkeypatch.setattr(vector_layer.pyogrio.raw, "read", damaged)
    tables = read_map(tmp_path, reader(tmp_path, per="feature"))
    assert dict(rejects(tables)) == {
        "v.gpkg#2": "invalid_geometry",
        "v.gpkg#3": "invalid_geometry",
        "v.gpkg#4": "invalid_text",
    }
    details = set(tables.rejects["detail"].to_pylist())
    assert "a coordinate is not finite" in details
    assert "its geometry cannot be read, or is of an unknown type" in details
    assert "kind is no valid text: name its encoding with --encoding" in details


def test_too_many_features_and_a_file_without_geometries_are_one_sentence(tmp_path, monkeypatch):
    scene(tmp_path / "images/a.tif")
    vectors(tmp_path / "v.gpkg", [SQUARE] * 3, {"kind": ["roof"] * 3})
    with monkeypatch.context() as patch, pytest.raises(InputError, match="has 3 features; 2 are allowed: split it"):
        patch.setattr(vector_layer, "MAX_FEATURES", 2)
        reader(tmp_path).sources(tmp_path, "test")
    pyogrio.write_arrow(pa.table({"kind": ["roof"]}), tmp_path / "none.gpkg", driver="GPKG", layer="v")
    with pytest.raises(InputError, match=r"none\.gpkg holds no layer with geometries"):
        reader(tmp_path, "none.gpkg").sources(tmp_path, "test")


def test_a_scene_that_the_crs_of_the_layer_does_not_reach_has_no_feature():
    """A geostationary satellite above the meridian of Greenwich does not see the Pacific."""
    crs = pyproj.CRS.from_proj4("+proj=geos +h=35785831 +lon_0=0")
    features = (vector_layer.VectorFeature("v.gpkg#1", "roof", shapely.box(0, 0, 5000, 5000)),)
    layer = vector_layer.VectorLayer(crs, features, (), ())
    degrees = pyproj.CRS("EPSG:4326").to_wkt()
    assert list(layer.in_pixels(Place(degrees, (0.001, 0, 0, 0, -0.001, 0.05)), 50, 50)) == [0]
    assert layer.in_pixels(Place(degrees, (0.001, 0, 179.9, 0, -0.001, 0.05)), 50, 50) == {}
