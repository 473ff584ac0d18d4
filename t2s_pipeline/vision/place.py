"""Where the pixels of a raster lie on Earth, and a mask on the grid of another raster."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision.geometry import Point

if TYPE_CHECKING:
    from rasterio.crs import CRS

Array = NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]

PIXEL_SHARE = 0.5
"""Two grids are the same if no corner lies further apart than this share of a pixel."""

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]).T


@dataclass(frozen=True)
class Place:
    """Where a raster lies on Earth.

    Attributes:
        crs: the coordinate reference system as WKT; empty if the file states none.
        transform: a, b, c, d, e, f: x = a·column + b·row + c and y = d·column + e·row + f.
    """

    crs: str
    transform: Transform

    @classmethod
    def of(cls, dataset: Any) -> Self:
        """The place of an open dataset of rasterio."""
        return cls(dataset.crs.to_wkt() if dataset.crs else "", tuple(dataset.transform)[:6])

    def at(self, columns: Array, rows: Array) -> tuple[Array, Array]:
        """Map coordinates x and y of positions in pixels."""
        a, b, c, d, e, f = self.transform
        return a * columns + b * rows + c, d * columns + e * rows + f

    def pixels_at(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The inverse of ``at``: columns and rows."""
        a, b, c, d, e, f = self.transform
        determinant = a * e - b * d
        return (e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant

    def pixel_at(self, x: float, y: float) -> Point:
        """The inverse of ``at`` for one position."""
        column, row = self.pixels_at(np.array(x), np.array(y))
        return float(column), float(row)

    def moved(self, column: int, row: int) -> "Place":
        """The place of a part of the raster that begins at that pixel."""
        a, b, c, d, e, f = self.transform
        return Place(self.crs, (a, b, a * column + b * row + c, d, e, d * column + e * row + f))

    @property
    def named_crs(self) -> str:
        """The CRS as ``EPSG:…`` if it is exactly that one, else as WKT; empty without a CRS."""
        return _named(self.crs) if self.crs else ""

    @classmethod
    def named(cls, crs: str, transform: Transform) -> Self:
        """The place with a CRS as ``named_crs`` writes it."""
        return cls(_crs(crs).to_wkt() if crs else "", transform)

    def is_like(self, other: "Place", size: tuple[int, int], other_size: tuple[int, int]) -> bool:
        """True if both rasters have the same CRS, size and grid, to half a pixel at each corner.

        Args:
            other: where the other raster lies.
            size: rows and columns.
            other_size: rows and columns of the other raster.
        """
        return size == other_size and self.covers_the_same_as(other, size, other_size)

    def covers_the_same_as(self, other: "Place", size: tuple[int, int], other_size: tuple[int, int]) -> bool:
        """True if both rasters have the same CRS and corners, to half a pixel of this one; arguments as ``is_like``."""
        if _crs(self.crs) != _crs(other.crs):
            return False
        corners = other.at(CORNERS[0] * other_size[1], CORNERS[1] * other_size[0])
        columns, rows = self.pixels_at(*corners)
        apart = np.abs([columns - CORNERS[0] * size[1], rows - CORNERS[1] * size[0]])
        return bool(apart.max() <= PIXEL_SHARE)


def _crs(text: str) -> "CRS":
    from rasterio.crs import CRS

    return CRS.from_user_input(text)


@cache
def _named(crs: str) -> str:
    code = _crs(crs).to_epsg()
    return f"EPSG:{code}" if code is not None and _crs(f"EPSG:{code}") == _crs(crs) else crs


def warped(mask: NDArray[np.bool_], place: Place, target: Place, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """A mask on the grid of another raster: each pixel is that of the mask at its centre, and no target outside of it.

    Args:
        mask: bool (rows, columns).
        place: of the mask.
        target: of the other raster. Both places have a CRS.
        shape: rows and columns of the other raster.

    Returns:
        bool ``shape``; None if the mask has no pixel there.
    """
    import rasterio
    from affine import Affine
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.warp import reproject

    outside = 2
    values = np.full(shape, outside, np.uint8)
    try:
        with rasterio.Env():
            reproject(
                mask.astype(np.uint8),
                values,
                src_transform=Affine(*place.transform),
                src_crs=_crs(place.crs),
                dst_transform=Affine(*target.transform),
                dst_crs=_crs(target.crs),
                dst_nodata=outside,
                init_dest_nodata=True,
                resampling=Resampling.nearest,
            )
    except RasterioError:  # a place that the other CRS cannot show
        return None
    return None if (values == outside).all() else values == 1
