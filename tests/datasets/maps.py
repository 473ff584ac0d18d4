"""Scenes and vector files for the tests of maps."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.ingest import TABLES, ingest_split
from t2s_pipeline.lake.store import read_partition
from tests.datasets.reading import DatasetTables
from tests.scenes.painted import UTM, painted, save

CRS = "EPSG:32632"


def scene(path: Path, height: int = 100, width: int = 120, **profile: object) -> Path:
    """A scene of ``height`` × ``width`` pixels of half a metre, whose grey values differ from pixel to pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = painted(height, width, [])
    image[..., 0] = np.arange(height * width).reshape(height, width) % 251
    return save(path, image, **profile)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> BaseGeometry:
    """A rectangle of pixels of ``scene``, on the map in ``CRS``."""
    return shapely.transform(shapely.box(x0, y0, x1, y1), lambda points: np.array([UTM @ tuple(p) for p in points]))


def in_crs(shape: BaseGeometry, crs: str) -> BaseGeometry:
    """A geometry of ``CRS`` in another one."""
    moved = pyproj.Transformer.from_crs(CRS, crs, always_xy=True).transform
    return shapely.transform(shape, lambda points: np.column_stack(moved(*points.T)))


def vectors(
    path: Path, shapes: Sequence[BaseGeometry | None], fields: Mapping[str, Sequence[str | None]], **options: Any
) -> Path:
    """Write geometries with their fields, by default in ``CRS``."""
    table = pa.table({name: pa.array(values, pa.string()) for name, values in fields.items()})
    wkb = pa.array([None if shape is None else shapely.to_wkb(shape, flavor="iso") for shape in shapes], pa.binary())
    drivers = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}
    settings = {"crs": CRS, "geometry_type": "Unknown", "driver": drivers[path.suffix], **options}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_arrow(table.append_column("geom", wkb), path, geometry_name="geom", **settings)
    return path


def read_map(root: Path, reader: Any, split: str = "test") -> DatasetTables:
    """Ingest the split of a reader into a lake below ``root``, and read its tables back."""
    ingest_split(root / "lake", Dataset("maps", root, reader), split)
    partition = {"dataset": "maps", "split": split}
    return DatasetTables(*(read_partition(root / "lake", table, partition) for table in TABLES))
