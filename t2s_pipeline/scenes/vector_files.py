"""The objects of an answer as GeoPackage, GeoJSON or GeoParquet 1.1."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.scenes.features import Feature

LAYER = "objects"

GEOPACKAGE = "1.3"
"""The version that is written: GDAL warns of a later one before GDAL 3.7, which QGIS 3.28 and Debian 12 have."""

Writer = Callable[[Path, pa.Table, NDArray[np.object_], str], None]
"""Takes the file, the attributes, the outlines and their CRS."""


@dataclass(frozen=True)
class Attribution:
    """What is the same for all objects of an answer.

    Attributes:
        question: what was asked; empty if a person gave the prompts.
        system: who answered.
        scene: the name of the file.
        crs: of the geometries, as WKT; empty if the scene has none.
    """

    question: str
    system: str
    scene: str
    crs: str


def write_features(path: Path, features: Sequence[Feature], about: Attribution) -> None:
    """Write the objects in the format that the ending of the name says.

    Raises:
        InputError: for another ending than those of ``WRITERS``.
        T2SError: if the disk is full.
    """
    geometries = np.array([feature.geometry for feature in features], dtype=object)
    write_outlines(path, columns_of(features, about), geometries, about.crs)


def write_outlines(path: Path, columns: pa.Table, geometries: NDArray[np.object_], crs: str) -> None:
    """Write outlines with their attributes in the format that the ending of the name says.

    Args:
        path: of the file.
        columns: the attributes, one row per outline.
        geometries: the outlines, multipolygons.
        crs: of the outlines, as WKT; empty if they have none.

    Raises:
        InputError: for another ending than those of ``WRITERS``.
        T2SError: if the disk is full.
    """
    require_format(path)
    with disk_room(path):
        WRITERS[path.suffix.lower()](path, columns, geometries, crs)


def read_features(path: Path) -> pa.Table:
    """The objects of a GeoPackage that ``write_features`` wrote: their attributes, and ``geometry`` as WKB."""
    about, table = pyogrio.read_arrow(path, layer=LAYER)
    names = ["geometry" if name == about["geometry_name"] else name for name in table.column_names]
    return table.rename_columns(names)


def require_format(path: Path) -> None:
    """Check the ending of a name.

    Raises:
        InputError: if it is none of ``WRITERS``.
    """
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{path.name} has no known ending: objects are written as {', '.join(WRITERS)}.")


def columns_of(features: Sequence[Feature], about: Attribution) -> pa.Table:
    """The attributes of the objects, one row each, without their geometry."""
    bounds = [feature.bounds or (None,) * 4 for feature in features]
    rows = len(features)
    return pa.table(
        {
            "object": pa.array(range(1, rows + 1), pa.int64()),
            "question": pa.array([about.question] * rows, pa.string()),
            "system": pa.array([about.system] * rows, pa.string()),
            "scene": pa.array([about.scene] * rows, pa.string()),
            "area_m2": pa.array([feature.area_m2 for feature in features], pa.float64()),
            "pixels": pa.array([feature.pixels for feature in features], pa.int64()),
            "confidence": pa.array([feature.confidence for feature in features], pa.float64()),
            "agreement": pa.array([feature.agreement for feature in features], pa.float64()),
            "views": pa.array([feature.views for feature in features], pa.int64()),
            **{
                name: pa.array([box[place] for box in bounds], pa.float64())
                for place, name in enumerate(("west", "south", "east", "north"))
            },
        }
    )


def _with_ogr(driver: str, **options: str) -> Writer:
    def write(path: Path, columns: pa.Table, geometries: NDArray[np.object_], crs: str) -> None:
        table = columns.append_column("geom", pa.array(_wkb(geometries), pa.binary()))
        with warnings.catch_warnings():
            # The terminal says in words of ours that a scene has no CRS.
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            pyogrio.write_arrow(
                table,
                path,
                layer=LAYER,
                driver=driver,
                geometry_name="geom",
                geometry_type="MultiPolygon",
                crs=crs or None,
                **options,
            )

    return write


def _write_parquet(path: Path, columns: pa.Table, geometries: NDArray[np.object_], crs: str) -> None:
    """GeoParquet 1.1: WKB with its CRS as PROJJSON, and a column with the bounding boxes for fast filters."""
    boxes = shapely.bounds(geometries).reshape(-1, 4)
    names = ("xmin", "ymin", "xmax", "ymax")
    covering = pa.StructArray.from_arrays([pa.array(boxes[:, place]) for place in range(4)], names)
    table = columns.append_column("bbox", covering).append_column("geometry", pa.array(_wkb(geometries), pa.binary()))
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"],
        "crs": pyproj.CRS.from_wkt(crs).to_json_dict() if crs else None,
        "covering": {"bbox": {name: ["bbox", name] for name in names}},
    }
    if len(boxes):
        column["bbox"] = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    described = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(described)}), path)


def _wkb(geometries: NDArray[np.object_]) -> list[bytes]:
    return list(shapely.to_wkb(geometries, flavor="iso"))


WRITERS: dict[str, Writer] = {
    ".gpkg": _with_ogr("GPKG", VERSION=GEOPACKAGE),
    ".geojson": _with_ogr("GeoJSON", RFC7946="YES", COORDINATE_PRECISION="9"),
    ".parquet": _write_parquet,
}
"""What writes a format, by the ending of the name."""
