"""What an answer writes opens in other programs without a warning, and means the same there."""

import json
import shutil
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pytest

pytest.importorskip("shapely")

import pyarrow.parquet as pq
import pyproj
import rasterio
import shapely

from tests.scenes.test_answer_files import RASTERS, answered, random_objects

needs_gdal = pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="needs ogrinfo (apt-get install gdal-bin)")


def output_of(*command: str | Path) -> str:
    """What a program prints; it must succeed without any message."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command
    assert "Warning" not in done.stdout and "ERROR" not in done.stdout
    return done.stdout


@needs_gdal
@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_programs_of_gdal_open_every_file_without_a_warning(path: Path, tmp_path: Path):
    with rasterio.open(path) as source:
        profile = {**source.profile, "count": 1, "dtype": "uint8", "nodata": None, "photometric": None}
    objects = random_objects(profile["height"], profile["width"], seed=5)
    features = answered(path, objects, tmp_path)
    for name in ("objects.geojson", "objects.gpkg"):
        answered(path, objects, tmp_path, name)
        assert f"Feature Count: {len(features)}" in output_of("ogrinfo", "-ro", "-al", "-so", tmp_path / name)
    described = json.loads(output_of("gdalinfo", "-json", tmp_path / "mask.tif"))
    assert described["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG" and described["bands"][0]["noDataValue"] == 255
    with rasterio.open(tmp_path / "burnt.tif", "w", **{**profile, "driver": "GTiff", "interleave": "band"}):
        pass
    output_of("gdal_rasterize", "-q", "-burn", "1", "-l", "objects", tmp_path / "objects.gpkg", tmp_path / "burnt.tif")
    with rasterio.open(tmp_path / "burnt.tif") as burnt, rasterio.open(tmp_path / "mask.tif") as mask:
        assert np.array_equal(burnt.read(1) == 1, mask.read(1) == 1)


@pytest.mark.parametrize("count", [3, 0])
@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.stem)
def test_a_parquet_file_is_geoparquet_1_1(path: Path, count: int, tmp_path: Path):
    """What https://geoparquet.org/releases/v1.1.0 asks for."""
    with rasterio.open(path) as source:
        crs, (height, width) = source.crs, source.shape
    answered(path, random_objects(height, width, seed=6)[:count], tmp_path, "objects.parquet")
    table = pq.read_table(tmp_path / "objects.parquet")
    described = json.loads(table.schema.metadata[b"geo"])
    assert described["version"] == "1.1.0" and set(described["columns"]) == {described["primary_column"]}
    about = described["columns"][described["primary_column"]]
    geometries = shapely.from_wkb(table[described["primary_column"]].to_pylist())
    assert about["encoding"] == "WKB" and {shape.geom_type for shape in geometries} <= set(about["geometry_types"])
    assert about["geometry_types"] == ["MultiPolygon"] and not shapely.has_z(geometries).any()
    assert about["crs"]["type"] in ("ProjectedCRS", "GeographicCRS")
    assert pyproj.CRS.from_json_dict(about["crs"]).equals(pyproj.CRS.from_wkt(crs.to_wkt()))
    for side, steps in about["covering"]["bbox"].items():
        column, field = steps
        place = ("xmin", "ymin", "xmax", "ymax").index(side)
        values = [row[field] for row in table[column].to_pylist()]
        assert values == [shape.bounds[place] for shape in geometries]
    if count:
        assert about["bbox"] == pytest.approx(shapely.total_bounds(geometries).tolist())
    query = f"select count(*) from '{tmp_path}/objects.parquet' where bbox.xmax > bbox.xmin"
    with duckdb.connect() as connection:
        found = connection.execute(query).fetchall()
    assert found == [(len(geometries),)]
