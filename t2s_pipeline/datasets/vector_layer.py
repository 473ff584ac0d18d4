"""Polygons with a text, from a layer of a vector file: GeoPackage, GeoJSON or shapefile.

Curves become lines, heights and measures are dropped, and an invalid polygon is repaired. A feature that is no polygon,
or has no text, is set aside.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.layout import is_text
from t2s_pipeline.datasets.records import NoteRecord, RejectRecord
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.place import Place

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".shp": "ESRI Shapefile"}
"""GDAL's driver by the ending of a file. GDAL reads eighty formats, and some of them name other files or servers."""

BEGINNINGS = {"GPKG": b"SQLite format 3\0", "GeoJSON": b"{", "ESRI Shapefile": b"\0\0\x27\x0a"}
"""The first bytes of a file, without a byte-order mark and white space. GDAL itself does not look at the ending."""

MAX_FEATURES = 2_000_000
"""The most features of a layer: they are in memory."""

EDGE_PARTS = 256
"""Sides are divided into parts of at most this share of the scene's size before they are reprojected."""


@dataclass(frozen=True)
class VectorFeature:
    """A polygon and its text.

    Attributes:
        row: where it is, for messages: file and number of the feature.
        text: the value of the question field, without white space around it.
        polygon: in the coordinates of the layer; valid and not empty.
    """

    row: str
    text: str
    polygon: BaseGeometry


@dataclass(frozen=True)
class VectorLayer:
    """The features of a layer.

    Attributes:
        crs: of the layer.
        features: those that can be used, in the order of the file.
        rejects: one for each feature that cannot be used.
        notes: what is special about features that are used.
    """

    crs: pyproj.CRS
    features: tuple[VectorFeature, ...]
    rejects: tuple[RejectRecord, ...]
    notes: tuple[NoteRecord, ...]

    def in_pixels(self, place: Place, width: int, height: int) -> dict[int, BaseGeometry]:
        """The polygons in a scene, in its pixels, by their place in ``features``.

        A polygon is cut at a margin around the scene, and its sides are divided, before it is reprojected. So a large
        one costs no more than a small one, and its sides become the curves that they are in the scene's CRS.

        Args:
            place: where the scene lies. It has a CRS.
            width: columns of the scene.
            height: rows of the scene.

        Raises:
            UnusableFileError: reason ``unsupported_crs``, if there is no way from one CRS to the other.
        """
        try:
            crs = pyproj.CRS.from_wkt(place.crs)
            to_scene = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True)
            to_layer = pyproj.Transformer.from_crs(crs, self.crs, always_xy=True)
        except ProjError as fault:
            raise UnusableFileError("unsupported_crs", f"the vectors cannot be brought to its CRS: {fault}") from fault
        window = _window(place, width, height, to_layer)
        if window is None:
            return {}
        part = max(window.bounds[2] - window.bounds[0], window.bounds[3] - window.bounds[1]) / EDGE_PARTS
        is_same = self.crs.equals(crs, ignore_axis_order=True)

        def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = points.T if is_same else to_scene.transform(points[:, 0], points[:, 1])
            return np.column_stack(place.pixels_at(np.asarray(x), np.asarray(y)))

        polygons = np.array([feature.polygon for feature in self.features], dtype=object)
        pixels: dict[int, BaseGeometry] = {}
        scene = shapely.box(0, 0, width, height)
        for number in sorted(shapely.STRtree(polygons).query(window, predicate="intersects").tolist()):
            inside = polygons[number]
            if not shapely.contains(window, inside):
                inside = shapely.intersection(inside, window)
            outline = shapely.transform(inside if is_same else shapely.segmentize(inside, part), moved)
            if np.isfinite(shapely.get_coordinates(outline)).all() and shapely.box(*outline.bounds).intersects(scene):
                pixels[int(number)] = outline
        return pixels


def _window(place: Place, width: int, height: int, to_layer: pyproj.Transformer) -> BaseGeometry | None:
    """A rectangle around the scene in the CRS of the layer, with a margin; None if that CRS does not reach there."""
    edge = np.linspace(0, 1, 21)
    columns, rows = np.array(np.meshgrid(edge * width, edge * height)).reshape(2, -1)
    points = np.array(to_layer.transform(*place.at(columns, rows)))
    points = points[:, np.isfinite(points).all(axis=0)]
    if not points.size:
        return None
    (left, bottom), (right, top) = points.min(axis=1), points.max(axis=1)
    margin = max(right - left, top - bottom) / 10
    return shapely.box(left - margin, bottom - margin, right + margin, top + margin)


def read_layer(path: Path, field: str, layer: str = "", encoding: str = "") -> VectorLayer:
    """Read a layer.

    Args:
        path: a file that ends in one of ``DRIVERS``.
        field: the column that holds the question or the class.
        layer: its name; empty if the file has one layer.
        encoding: of the texts of a shapefile; empty: as the file says.

    Raises:
        InputError: if the file, the layer, the field or the CRS cannot be used.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    if path.suffix.lower() not in DRIVERS:
        raise InputError(f"{path.name} has no known ending: vectors are read from {', '.join(DRIVERS)}.")
    driver = DRIVERS[path.suffix.lower()]
    with path.open("rb") as file:
        if not file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").startswith(BEGINNINGS[driver]):
            raise InputError(f"{path} is no {driver} file, although its name ends in {path.suffix}.")
    name = _layer_name(path, layer)
    meta, fids, geometries, values = _read(path, name, field, encoding)
    if not meta["crs"]:
        raise InputError(
            f"{_called(path, layer)} states no coordinate reference system: assign the one that its coordinates have "
            "(ogr2ogr -a_srs EPSG:…)."
        )
    try:
        crs = pyproj.CRS.from_user_input(meta["crs"])
    except ProjError as fault:
        raise InputError(f"The coordinate reference system of {path} cannot be used: {fault}.") from fault
    features: list[VectorFeature] = []
    rejects: list[RejectRecord] = []
    notes: list[NoteRecord] = []
    shapes = shapely.force_2d(shapely.from_wkb(geometries, on_invalid="ignore"))
    for fid, data, shape, value in zip(fids.tolist(), geometries, shapes, values.tolist(), strict=True):
        row = f"{path.name}#{f'{layer}/' if layer else ''}{fid}"
        text = _text(value)
        reject = _fault(row, text, field, data, shape)
        if reject is not None:
            rejects.append(reject)
            continue
        assert text is not None
        polygon = shape if shape.is_valid else _polygons(shapely.make_valid(shape))
        if polygon.is_empty:
            rejects.append(RejectRecord(row, "invalid_geometry", f"{shapely.is_valid_reason(shape)}: no area is left"))
            continue
        if polygon is not shape:
            notes.append(NoteRecord(row, "repaired_geometry", shapely.is_valid_reason(shape), is_warning=True))
        features.append(VectorFeature(row, text, polygon))
    if not len(fids):
        raise InputError(f"{_called(path, layer)} holds no feature.")
    return VectorLayer(crs, tuple(features), tuple(rejects), tuple(notes))


def _called(path: Path, layer: str) -> str:
    return f"The layer {layer} of {path}" if layer else str(path)


def _layer_name(path: Path, layer: str) -> str:
    """The name of the layer that is read.

    Raises:
        InputError: if there is no such layer, or there are several and none is named.
    """
    with _readable(path):
        names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not names:
        raise InputError(f"{path} holds no layer with geometries.")
    if layer and layer not in names:
        raise InputError(f"{path} has no layer {layer} with geometries. It has {', '.join(names)}.")
    if not layer and len(names) > 1:
        raise InputError(f"{path} has several layers: name one of {', '.join(names)} with --layer.")
    return layer or names[0]


def _read(path: Path, layer: str, field: str, encoding: str) -> tuple[dict[str, Any], Any, Any, Any]:
    """The description of a layer, and the numbers, WKB and values of the field of its features.

    Raises:
        InputError: if the layer cannot be read, has too many features, or lacks the field.
    """
    with _readable(path):
        about = pyogrio.read_info(path, layer=layer, encoding=encoding or None, force_feature_count=True)
        if field not in about["fields"]:
            fields = ", ".join(about["fields"]) or "none"
            raise InputError(f"{path} has no field {field}. Its fields: {fields}. Name one with --question-field.")
        if about["features"] > MAX_FEATURES:
            raise InputError(f"{path} has {about['features']:,} features; {MAX_FEATURES:,} are allowed: split it.")
        meta, fids, geometries, (values,) = pyogrio.raw.read(
            path, layer=layer, columns=[field], encoding=encoding or None, return_fids=True
        )
    return meta, fids, geometries, values


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the faults of GDAL into one sentence that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of GDAL, about single features: they are checked here
            yield
    except (RuntimeError, ValueError) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{path} cannot be read as vectors: {' '.join(str(fault).split()).rstrip('.')}.") from fault


def _fault(
    row: str, text: str | None, field: str, data: bytes | None, shape: BaseGeometry | None
) -> RejectRecord | None:
    """What is wrong with a feature; None if it can be used, perhaps after a repair."""
    if text is None:
        return RejectRecord(row, "invalid_text", f"{field} is no valid text: name its encoding with --encoding")
    if not text:
        return RejectRecord(row, "blank_question", f"{field} is empty")
    if shape is None and data is not None:
        return RejectRecord(row, "invalid_geometry", "its geometry cannot be read, or is of an unknown type")
    if shape is None or shape.is_empty:
        return RejectRecord(row, "no_geometry", "it has no geometry")
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        return RejectRecord(row, "not_a_polygon", f"it is a {shape.geom_type}: make polygons of it, e.g. by a buffer")
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        return RejectRecord(row, "invalid_geometry", "a coordinate is not finite")
    return None


def _text(value: Any) -> str | None:
    """A value as a question: without white space around it, empty for null; None if it is no text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    text = " ".join(text.split())
    return text if is_text(text) and "\ufffd" not in text else None


def _polygons(shape: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry of any type."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])
