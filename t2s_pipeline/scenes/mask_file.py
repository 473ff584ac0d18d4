"""The mask of an answer as a cloud-optimized GeoTIFF on the scene's own grid."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import rasterio.shutil
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.scenes.features import Feature
from t2s_pipeline.vision.geometry import Box
from t2s_pipeline.vision.scene import CACHE_MEGABYTES, OpenScene
from t2s_pipeline.vision.view import SceneView

BLOCK = 2048
"""The side of the parts in which a mask is written, in pixels."""

BACKGROUND, TARGET, NODATA = 0, 1, 255
"""The values of a mask. Nodata is where the scene has no values, and where the search failed."""


def write_mask(path: Path, scene: OpenScene, features: Sequence[Feature], unsearched: Sequence[Box] = ()) -> None:
    """Write a mask with the size, CRS and transform of the scene.

    Args:
        path: of the file.
        scene: the scene.
        features: the objects.
        unsearched: parts of the scene, in its pixels, that could not be searched.

    Raises:
        T2SError: if the disk is full.
    """
    plain = path.with_name(f"{path.stem}.plain.tif")
    profile = {
        "driver": "GTiff",
        "width": scene.width,
        "height": scene.height,
        "count": 1,
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": scene.place.crs or None,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    if scene.has_grid:
        profile["transform"] = Affine(*scene.place.transform)
    try:
        with disk_room(path), rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a scene without a place has a mask without one
            with rasterio.open(plain, "w", **profile) as dataset:
                for view, values in _blocks(scene, features, unsearched):
                    dataset.write(values, 1, window=Window(view.x, view.y, view.width, view.height))
            options = {"compress": "deflate", "overview_resampling": "mode", "bigtiff": "if_safer"}
            rasterio.shutil.copy(plain, path, driver="COG", **options)
    finally:
        plain.unlink(missing_ok=True)


def _blocks(
    scene: OpenScene, features: Sequence[Feature], unsearched: Sequence[Box]
) -> Iterator[tuple[SceneView, NDArray[np.uint8]]]:
    tree = shapely.STRtree([feature.outline for feature in features])
    for y in range(0, scene.height, BLOCK):
        for x in range(0, scene.width, BLOCK):
            width, height = min(BLOCK, scene.width - x), min(BLOCK, scene.height - y)
            view = SceneView(x, y, width, height, width, height)
            values = np.full((height, width), BACKGROUND, np.uint8)
            for left, top, right, bottom in unsearched:
                rows, columns = (max(0, int(top) - y), max(0, int(left) - x))
                values[rows : max(0, int(bottom) - y), columns : max(0, int(right) - x)] = NODATA
            values[~scene.present(view)] = NODATA
            inside = shapely.box(x, y, x + width, y + height)
            outlines = [features[index].outline for index in sorted(tree.query(inside, predicate="intersects"))]
            if outlines:
                values[rasterized(outlines, view)] = TARGET
            yield view, values


def rasterized(outlines: Sequence[shapely.Geometry], view: SceneView, all_touched: bool = False) -> NDArray[np.bool_]:
    """The pixels of a view whose centres lie in outlines; with ``all_touched`` those that they meet."""
    dx, dy = view.step
    placed = Affine(dx, 0, view.x, 0, dy, view.y)
    burnt = rasterio.features.rasterize(
        outlines, out_shape=(view.rows, view.columns), transform=placed, all_touched=all_touched, dtype="uint8"
    )
    mask: NDArray[np.bool_] = burnt == 1
    return mask
