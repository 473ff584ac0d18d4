"""What a raster is and where it lies, without asking it anything."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import shapely
from rasterio.errors import NotGeoreferencedWarning
from shapely.geometry import MultiPolygon

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.scenes.features import ground_of
from t2s_pipeline.vision.geometry import Box
from t2s_pipeline.vision.offline import OFFLINE
from t2s_pipeline.vision.scene import OpenScene, open_scene


@dataclass(frozen=True)
class RasterHeader:
    """What a raster states about itself, beside its place.

    Attributes:
        bands: how many it has.
        dtype: of the first band.
        nodata: the value of absent pixels in the first band; None without one.
        time: when it was taken, as the TIFF tag DateTime states; None without one. The tag knows no time zone, and UTC
            is assumed.
    """

    bands: int
    dtype: str
    nodata: float | None
    time: datetime | None


@dataclass(frozen=True)
class SceneDescription:
    """A scene that can be asked, or the reason why not.

    Attributes:
        width: columns; 0 if the file cannot be read.
        height: rows; 0 if the file cannot be read.
        header: what the file states about itself; None if it cannot be read.
        crs: the CRS as WKT; empty without one.
        crs_name: its code or its name; empty without one.
        transform: as in ``Place``; empty if the file cannot be read.
        bounds: smallest x, smallest y, largest x, largest y in the CRS; None without one.
        degrees: west, south, east, north; None without a CRS that can be used.
        pixel_size: metres per pixel in the middle; None without a CRS that can be used.
        notes: what a person should know about the file.
        reason: why it cannot be asked, a short constant; empty if it can.
        detail: the reason as a sentence.
    """

    width: int = 0
    height: int = 0
    header: RasterHeader | None = None
    crs: str = ""
    crs_name: str = ""
    transform: tuple[float, ...] = ()
    bounds: Box | None = None
    degrees: Box | None = None
    pixel_size: float | None = None
    notes: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def describe(path: Path) -> SceneDescription:
    """Describe a raster. Whatever is wrong with it is in the description."""
    if not path.exists():
        return SceneDescription(reason="vanished", detail=f"There is no file {path} any more.")
    try:
        with open_scene(path) as scene:
            return _described(scene)
    except InputError as fault:
        return SceneDescription(reason="unreadable", detail=str(fault))


def _described(scene: OpenScene) -> SceneDescription:
    place = scene.place
    reason = detail = ""
    degrees: Box | None = None
    pixel_size: float | None = None
    bounds: Box | None = None
    if not place.crs:
        reason, detail = "no_crs", f"{scene.path} states no coordinate reference system: write one (gdal_edit -a_srs)."
    else:
        corners = np.array([[0, scene.width, 0, scene.width], [0, 0, scene.height, scene.height]], dtype=float)
        xs, ys = place.at(*corners)
        bounds = (float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
        try:
            degrees, pixel_size = _on_earth(scene)
        except InputError as fault:
            reason, detail = "unusable_crs", f"{scene.path}: {fault}"
    if not reason:
        try:
            scene.require_values()
        except InputError as fault:
            reason, detail = "no_values", str(fault)
    return SceneDescription(
        width=scene.width,
        height=scene.height,
        header=_header(scene.path),
        crs=place.crs,
        crs_name=_name(place.crs),
        transform=place.transform,
        bounds=bounds,
        degrees=degrees,
        pixel_size=pixel_size,
        notes=scene.notes,
        reason=reason,
        detail=detail,
    )


def _on_earth(scene: OpenScene) -> tuple[Box, float]:
    """Bounds in degrees, and metres per pixel.

    Raises:
        InputError: if the CRS cannot be used, or does not reach the scene.
    """
    ground = ground_of(scene)
    assert ground is not None  # the scene has a CRS
    pixel_size = ground.metres_per_pixel
    degrees = ground.bounds(MultiPolygon([shapely.box(0, 0, scene.width, scene.height)]))
    if not np.isfinite([*degrees, pixel_size]).all():
        raise InputError("The scene lies outside of what its coordinate reference system can show.")
    return degrees, pixel_size


def _name(wkt: str) -> str:
    """The code of a CRS, such as EPSG:32632, or its name."""
    if not wkt:
        return ""
    try:
        crs = pyproj.CRS.from_wkt(wkt)
    except pyproj.exceptions.CRSError:
        return ""
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.name


def _header(path: Path) -> RasterHeader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.Env(**OFFLINE), rasterio.open(path) as dataset:
            return RasterHeader(dataset.count, dataset.dtypes[0], dataset.nodata, _time(dataset.tags()))


def _time(tags: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.strptime(tags.get("TIFFTAG_DATETIME", ""), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
