"""Predicted masks that say where they lie on Earth, on the grids of their images."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.steps.external.foreign_mask import Size
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes, is_tiff
from t2s_pipeline.vision.place import Place, warped
from t2s_pipeline.vision.rasters import place_of

WARPED = "it lies on another grid than its image: warped"


def places_of(samples: pa.Table, images: pa.Table) -> dict[str, Place]:
    """The place of the image of each sample, by sample_id; images without a CRS are left out.

    Args:
        samples: columns sample_id and image_id.
        images: columns image_id, crs and transform.
    """
    place_of_image = {
        row["image_id"]: Place.named(row["crs"], tuple(row["transform"])) for row in images.to_pylist() if row["crs"]
    }
    rows = samples.select(["sample_id", "image_id"]).to_pylist()
    return {row["sample_id"]: place_of_image[row["image_id"]] for row in rows if row["image_id"] in place_of_image}


def on_grid(mask: NDArray[np.bool_], file: Path, place: Place, native: Size) -> NDArray[np.bool_]:
    """The mask itself, or warped to the grid of its image.

    A mask of the same CRS and extent stays as it is, whatever its size: it is that of a resized image.

    Args:
        mask: what was read from the file, bool (rows, columns).
        file: a file of any kind. Only TIFF files say where they lie.
        place: of the image.
        native: height and width of the image.

    Raises:
        UnusableFileError: reason ``other_place`` if the mask has no pixel in the image.
    """
    data = file_bytes(file)
    place_of_mask = place_of(data, "label") if is_tiff(data) else None
    if place_of_mask is None or place.covers_the_same_as(place_of_mask, native, mask.shape):
        return mask
    there = warped(mask, place_of_mask, place, native)
    if there is None:
        raise UnusableFileError("other_place", "it lies elsewhere on Earth than its image")
    return there
