"""The outlines of objects as polygons on the scene's pixel grid.

Polygons follow the edges of pixels (connectivity 4, holes kept), so that they rasterize to the mask exactly. Specks are
dropped first.
"""

from collections.abc import Iterator

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry import MultiPolygon, Polygon, shape

from t2s_pipeline.scenes.piece import SceneObject
from t2s_pipeline.vision.scene import OpenScene
from t2s_pipeline.vision.view import SceneView

STRIP_PIXELS = 1 << 24
"""Pixels of an object that are outlined at a time. Outlines of several strips are joined."""

SPECK = 0.01
"""A part of an object that is smaller than this share of the largest part is a speck."""


def outline(item: SceneObject, scene: OpenScene) -> MultiPolygon:
    """The outline of an object in pixels of the scene, without specks; empty if no present pixel belongs to it."""
    strips = [polygon for view in _strips(item, scene) for polygon in _outlined(item, scene, view)]
    joined = shapely.union_all(strips) if strips else MultiPolygon()
    polygons = [part for part in shapely.get_parts(joined) if isinstance(part, Polygon)]
    if not polygons:
        return MultiPolygon()
    least = SPECK * max(polygon.area for polygon in polygons)
    return MultiPolygon([polygon for polygon in polygons if polygon.area >= least])


def _strips(item: SceneObject, scene: OpenScene) -> Iterator[SceneView]:
    """Views at native resolution that cover an object, from top to bottom."""
    left, top = (int(np.floor(value)) for value in item.bounds[:2])
    right, bottom = (int(np.ceil(value)) for value in item.bounds[2:])
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, scene.width), min(bottom, scene.height)
    width = right - left
    rows = max(1, STRIP_PIXELS // max(1, width))
    for y in range(top, bottom, rows):
        height = min(rows, bottom - y)
        yield SceneView(left, y, width, height, width, height)


def _outlined(item: SceneObject, scene: OpenScene, view: SceneView) -> Iterator[Polygon]:
    xs = np.arange(view.width, dtype=np.float64) + view.x + 0.5
    ys = np.arange(view.height, dtype=np.float64) + view.y + 0.5
    mask = item.at(xs, ys)
    if mask.any() and scene.has_absent_pixels:
        mask &= scene.present(view)
    placed = Affine.translation(view.x, view.y)
    for geometry, _ in rasterio.features.shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=placed):
        yield shape(geometry)
