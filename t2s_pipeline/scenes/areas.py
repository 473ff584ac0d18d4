"""Areas in square metres and lengths in metres, whatever the coordinate reference system.

Web maps (EPSG:3857) and degrees do not keep areas, and a national grid is up to a percent off. So every outline is
measured in an equal-area projection around the scene.
"""

from functools import cached_property

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Box
from t2s_pipeline.vision.place import Place

WIDE = 30.0
"""Degrees. A scene that is wider is measured in a cylindrical projection, which has no opposite point."""

PARTS = 32
"""Sides of an outline are divided into parts of at most this share of the scene's size, because they become curves."""


class Ground:
    """The positions of a scene's pixels on Earth.

    Args:
        place: where the scene lies. Its CRS must not be empty.
        width: of the scene, in pixels.
        height: of the scene, in pixels.

    Raises:
        InputError: if the CRS is no CRS of Earth.
    """

    def __init__(self, place: Place, width: int, height: int) -> None:
        self.place = place
        self.width, self.height = width, height
        try:
            self.crs = pyproj.CRS.from_wkt(place.crs)
            self._to_degrees = pyproj.Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        except ProjError as fault:
            raise InputError(f"its coordinate reference system cannot be used ({fault}).") from fault

    def on_map(self, outline: BaseGeometry) -> BaseGeometry:
        """A geometry in map coordinates, from pixels of the scene."""
        return on_map(outline, self.place)

    def degrees(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitudes and latitudes (2, n) of map coordinates; infinite where the CRS does not reach."""
        return np.array(self._to_degrees.transform(xs, ys))

    def area(self, outline: MultiPolygon) -> float:
        """Square metres inside an outline in pixels of the scene."""
        divided = shapely.segmentize(outline, max(1.0, max(self.width, self.height) / PARTS))
        flat = shapely.transform(self.on_map(divided), self._flattened)
        return float(flat.area)

    def bounds(self, outline: MultiPolygon) -> Box:
        """West, south, east, north of an outline in pixels of the scene, in degrees."""
        divided = shapely.segmentize(outline, max(1.0, max(self.width, self.height) / PARTS))
        xs, ys = shapely.get_coordinates(self.on_map(divided)).T
        longitudes, latitudes = self.degrees(xs, ys)
        return (float(longitudes.min()), float(latitudes.min()), float(longitudes.max()), float(latitudes.max()))

    @cached_property
    def metres_per_pixel(self) -> float:
        """The side of a square with the area of the pixel in the middle of the scene."""
        x, y = self.width / 2, self.height / 2
        return float(np.sqrt(self.area(MultiPolygon([shapely.box(x - 0.5, y - 0.5, x + 0.5, y + 0.5)]))))

    def _flattened(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array(self._to_flat.transform(points[:, 0], points[:, 1])).T

    @cached_property
    def _to_flat(self) -> pyproj.Transformer:
        """From map coordinates to an equal-area projection around the scene."""
        edge = np.linspace(0, 1, 9)
        corners = np.array(np.meshgrid(edge * self.width, edge * self.height)).reshape(2, -1)
        degrees = self.degrees(*self.place.at(*corners))
        degrees = degrees[:, np.isfinite(degrees).all(axis=0)]
        if not degrees.size:
            raise InputError("it lies outside of what its coordinate reference system can show.")
        middle = self.degrees(*self.place.at(np.array([self.width / 2]), np.array([self.height / 2])))
        longitude, latitude = (float(value) for value in middle[:, 0])
        if self.crs.is_geographic or np.ptp(degrees[0]) > WIDE:
            flat = f"+proj=cea +lon_0={longitude if np.isfinite(longitude) else 0.0} +ellps=WGS84 +units=m"
        else:
            flat = f"+proj=laea +lat_0={latitude} +lon_0={longitude} +ellps=WGS84 +units=m"
        return pyproj.Transformer.from_crs(self.crs, pyproj.CRS.from_proj4(flat), always_xy=True)


def on_map(outline: BaseGeometry, place: Place) -> BaseGeometry:
    """A geometry in map coordinates, from pixels of a scene at that place."""
    return shapely.transform(outline, lambda points: np.column_stack(place.at(*points.T)))
