"""Small pictures for the UI. The UI has no metadata type for images, so they are data URIs in Markdown.

https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from itertools import islice

import numpy as np
import pyarrow as pa
from PIL import Image

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.store import read_partition, scan
from t2s_pipeline.steps.scene_pictures import answer_pictures, scene_picture
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.panels import contact_sheet, data_uri
from t2s_pipeline.vision.pictures import decode_image

PICTURES = 12
SIDE = 512
"""The longer side, in pixels, of the pictures that a thumbnail is made from."""


def thumbnails(settings: Settings, table: str, partition: Partition) -> str | None:
    """A contact sheet of the first pictures of a partition, as Markdown; None for a table without pictures.

    Images are shown as they are, samples with their target, and predictions with their mask. A scene is shown as it is,
    and its objects as each answer has them.
    """
    if table in (schema.SCENES.name, schema.SCENE_OBJECTS.name):
        return _of_scene(settings, table, partition["scene"])
    if table not in (schema.IMAGES.name, schema.SAMPLES.name, schema.PREDICTIONS.name):
        return None
    split = {column: partition[column] for column in ("dataset", "split")}
    images = _first_images(settings, split)
    if not images:
        return None
    shown: dict[str, np.ndarray] = {}
    if table == schema.SAMPLES.name:
        samples = read_partition(settings.lake, schema.SAMPLES, split, ["image_id", "mask"])
        shown = _masks_of(samples, set(images))
    elif table == schema.PREDICTIONS.name:
        samples = read_partition(settings.lake, schema.SAMPLES, split, ["sample_id", "image_id"])
        columns = ["sample_id", "question_index", "mask"]
        predicted = read_partition(settings.lake, schema.PREDICTIONS, partition, columns)
        image_of = dict(zip(*(samples[column].to_pylist() for column in ("sample_id", "image_id")), strict=True))
        predicted = predicted.append_column("image_id", [[image_of[key] for key in predicted["sample_id"].to_pylist()]])
        shown = _masks_of(predicted.sort_by("question_index"), set(images))
    sheet = contact_sheet(list(images.values()), [shown.get(image_id) for image_id in images])
    return f"![the first {len(images)} images]({data_uri(sheet)})"


def _of_scene(settings: Settings, table: str, scene: str) -> str | None:
    if table == schema.SCENES.name:
        picture = scene_picture(settings, scene, SIDE)
        pictures = [] if picture is None else [picture]
    else:
        pictures = list(islice(answer_pictures(settings, scene, SIDE), PICTURES))
    return "\n\n".join(f"![{scene}]({data_uri(Image.fromarray(picture))})" for picture in pictures) or None


def _first_images(settings: Settings, split: Partition) -> dict[str, np.ndarray]:
    """image_id → uint8 (H, W, 3), no side longer than ``SIDE``."""
    batches = scan(settings.lake, schema.IMAGES, split, ["image_id", "bytes"], batch_rows=PICTURES)
    rows = (row for batch in islice(batches, 1) for row in batch.to_pylist())
    return {row["image_id"]: _small(decode_image(row["bytes"])) for row in rows}


def _small(pixels: np.ndarray) -> np.ndarray:
    """A dozen original images can have 58 million pixels each, but a sheet has only 128 pixels per side for each."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)


def _masks_of(rows: pa.Table, image_ids: set[str]) -> dict[str, np.ndarray]:
    """image_id → its first mask."""
    first: dict[str, np.ndarray] = {}
    for row in rows.select(["image_id", "mask"]).to_pylist():
        image_id = row["image_id"]
        if image_id in image_ids and image_id not in first and row["mask"] is not None:
            first[image_id] = _small(masks.decode(masks.Rle.from_arrow(row["mask"])))
    return first
