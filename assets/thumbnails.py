"""Small pictures for the UI, which has no kind of metadata for images: data addresses in Markdown.

https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from itertools import islice

import numpy as np
import pyarrow as pa
from PIL import Image

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import Partition, read_partition, scan
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import decode_image
from t2s_pipeline.vision.panels import contact_sheet, data_uri

PICTURES = 12
SIDE = 512
"""Pixels of what a thumbnail is made from."""


def thumbnails(settings: Settings, table: str, partition: Partition) -> str | None:
    """A contact sheet of a partition's first pictures as Markdown; None for a table without pictures.

    images: as they are; samples: with the target veiled; predictions: with the predicted mask veiled.
    """
    if table not in (schema.IMAGES.name, schema.SAMPLES.name, schema.PREDICTIONS.name):
        return None
    place = {column: partition[column] for column in ("dataset", "split")}
    images = _first_images(settings, place)
    if not images:
        return None
    drawn: dict[str, np.ndarray] = {}
    if table == schema.SAMPLES.name:
        samples = read_partition(settings.lake, schema.SAMPLES, place, ["image_id", "mask"])
        drawn = _masks_of(samples, set(images))
    elif table == schema.PREDICTIONS.name:
        samples = read_partition(settings.lake, schema.SAMPLES, place, ["sample_id", "image_id"])
        columns = ["sample_id", "question_index", "mask"]
        predicted = read_partition(settings.lake, schema.PREDICTIONS, partition, columns)
        image_of = dict(zip(*(samples[column].to_pylist() for column in ("sample_id", "image_id")), strict=True))
        predicted = predicted.append_column("image_id", [[image_of[key] for key in predicted["sample_id"].to_pylist()]])
        drawn = _masks_of(predicted.sort_by("question_index"), set(images))
    sheet = contact_sheet(list(images.values()), [drawn.get(image_id) for image_id in images])
    return f"![the first {len(images)} images]({data_uri(sheet)})"


def _first_images(settings: Settings, place: Partition) -> dict[str, np.ndarray]:
    """image_id → uint8 (H, W, 3), no side longer than ``SIDE``."""
    batches = scan(settings.lake, schema.IMAGES, place, ["image_id", "bytes"], batch_rows=PICTURES)
    rows = (row for batch in islice(batches, 1) for row in batch.to_pylist())
    return {row["image_id"]: _small(decode_image(row["bytes"])) for row in rows}


def _small(pixels: np.ndarray) -> np.ndarray:
    """A dozen native images can have 58 million pixels each; a sheet has 128 a side for each of them."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)


def _masks_of(rows: pa.Table, wanted: set[str]) -> dict[str, np.ndarray]:
    """image_id → the first mask given for it."""
    found: dict[str, np.ndarray] = {}
    for row in rows.select(["image_id", "mask"]).to_pylist():
        image_id = row["image_id"]
        if image_id in wanted and image_id not in found and row["mask"] is not None:
            found[image_id] = _small(masks.decode(masks.Rle.from_arrow(row["mask"])))
    return found
