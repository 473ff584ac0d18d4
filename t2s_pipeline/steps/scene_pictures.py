"""Small pictures of a scene of the imagery folder, and of the answers about it, for the UI."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.steps.scene_registry import registered_scene

Picture = NDArray[np.uint8]
"""RGB, (rows, columns, 3)."""


def scene_picture(settings: Settings, scene: str, side: int) -> Picture | None:
    """A registered scene with at most ``side`` pixels per side; None if it cannot be read."""
    # Imported here, because it takes long and Dagster must load the project quickly.
    from t2s_pipeline.vision.scene import open_scene
    from t2s_pipeline.vision.view import SceneView

    row = registered_scene(settings, scene)
    if row is None or row["width"] is None or row["reason"]:
        return None
    width, height = row["width"], row["height"]
    scale = max(1.0, width / side, height / side)
    view = SceneView(0, 0, width, height, max(1, round(width / scale)), max(1, round(height / scale)))
    try:
        with open_scene(settings.home / row["path"]) as opened:
            image, present = opened.read(view)
    except InputError:
        return None  # the file was removed or replaced since
    image[~present] = 0
    return image


def answer_pictures(settings: Settings, scene: str, side: int) -> Iterator[Picture]:
    """The scene with the objects of each answer about it, with at most ``side`` pixels per side."""
    for partition in list_partitions(settings.lake, schema.SCENE_OBJECTS):
        if partition["scene"] != scene:
            continue
        folders = read_partition(settings.lake, schema.SCENE_OBJECTS, partition, ["folder"])["folder"].to_pylist()
        path = settings.home / folders[0] / "panel.png" if folders and folders[0] else None
        if path is not None and path.is_file():
            with Image.open(path) as picture:
                picture.thumbnail((side, side))
                yield np.asarray(picture.convert("RGB"))
