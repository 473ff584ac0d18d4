"""Objects of many scenes in one file of maps."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.scenes.vector_files import write_outlines

DEGREES = pyproj.CRS.from_epsg(4326)


def write_collection(path: Path, objects: pa.Table) -> None:
    """Write objects in the format that the ending of the name says. The file appears whole.

    It has the CRS of the objects if all have the same one, otherwise longitudes and latitudes.

    Args:
        path: of the file.
        objects: with ``geometry`` as WKB and ``crs`` as WKT; all other columns become attributes.

    Raises:
        InputError: for an ending that no format has.
        T2SError: if the disk is full.
    """
    outlines = shapely.from_wkb(objects["geometry"].to_pylist())
    systems = objects["crs"].to_pylist()
    names = sorted(set(systems))
    if len(names) == 1:
        crs = names[0]
    else:
        crs = DEGREES.to_wkt()
        for name in names:
            chosen = np.array([system == name for system in systems])
            outlines[chosen] = _in_degrees(outlines[chosen], name)
    columns = objects.drop_columns(["geometry", "crs"])
    with atomic_file(path) as temporary:
        # The drivers know the format by the ending.
        named = temporary.with_name(f"{temporary.name}{path.suffix.lower()}")
        try:
            write_outlines(named, columns, outlines, crs)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def _in_degrees(outlines: NDArray[np.object_], crs: str) -> NDArray[np.object_]:
    """Outlines in longitudes and latitudes. A side becomes a curve, so it is divided first."""
    transformer = pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(crs), DEGREES, always_xy=True)
    xmin, ymin, xmax, ymax = shapely.total_bounds(outlines)
    divided = shapely.segmentize(outlines, max(xmax - xmin, ymax - ymin) / 100)

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array(transformer.transform(points[:, 0], points[:, 1])).T

    # Shapely makes a polygon of a multipolygon with one part when it divides its sides.
    whole = [item if isinstance(item, MultiPolygon) else MultiPolygon([item]) for item in divided]
    in_degrees: NDArray[np.object_] = shapely.transform(np.array(whole, dtype=object), moved)
    return in_degrees
