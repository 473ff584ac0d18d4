"""Tiles of a scene for the map of the page: read by windows, with the stretch of the whole scene.

Level 0 has the scene's own pixels. Each further level has half as many per side. GDAL uses the overviews of the file.
"""

import io
import threading

import numpy as np
from PIL import Image

from t2s_pipeline.vision.scene import OpenScene
from t2s_pipeline.vision.view import SceneView

SIDE = 256
"""The side of a tile, in pixels."""

_READING = threading.BoundedSemaphore(3)
"""So many tiles are read at the same time: a browser asks for dozens."""


def tile_of(scene: OpenScene, level: int, column: int, row: int) -> tuple[bytes, str] | None:
    """The tile as an image file and its media type; None if it lies outside of the scene.

    Args:
        scene: the scene.
        level: 2 to the power of it is the number of the scene's pixels per pixel of the tile.
        column: of the tile, from the left.
        row: of the tile, from the top.

    Raises:
        InputError: if the file is damaged there.
    """
    if not (0 <= level <= levels_of(scene.width, scene.height) and column >= 0 and row >= 0):
        return None
    step = 2**level
    x, y = column * SIDE * step, row * SIDE * step
    width, height = min(SIDE * step, scene.width - x), min(SIDE * step, scene.height - y)
    if width <= 0 or height <= 0:
        return None
    view = SceneView(x, y, width, height, max(1, round(width / step)), max(1, round(height / step)))
    with _READING:
        image, present = scene.read(view)
    if present.all() and view.columns == view.rows == SIDE:
        return _encoded(Image.fromarray(image), "JPEG", quality=88), "image/jpeg"
    canvas = np.zeros((SIDE, SIDE, 4), np.uint8)
    canvas[: view.rows, : view.columns, :3] = image
    canvas[: view.rows, : view.columns, 3] = np.where(present, 255, 0)
    return _encoded(Image.fromarray(canvas), "PNG", compress_level=1), "image/png"


def levels_of(width: int, height: int) -> int:
    """The level at which the whole scene lies in one tile."""
    return max(0, (max(width, height) - 1) // SIDE).bit_length()


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
