"""A mask as the bytes of a picture: GeoTIFF if its pixels have a place on Earth, else PNG. 255 is target, 0 is not."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2s_pipeline.vision.place import Place


def mask_image(mask: NDArray[np.bool_], place: Place | None) -> tuple[bytes, str]:
    """The file, and the ending of its name.

    Args:
        mask: bool (H, W).
        place: where its pixels lie; None for PNG.
    """
    values = mask.astype(np.uint8) * 255
    if place is None:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG")
        return buffer.getvalue(), ".png"
    import rasterio
    from affine import Affine
    from rasterio.errors import NotGeoreferencedWarning

    height, width = values.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with rasterio.Env(), rasterio.MemoryFile() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # pixels of one metre from 0, 0 on are a place too
        with file.open(crs=place.crs, transform=Affine(*place.transform), **profile) as dataset:
            dataset.write(values, 1)
        return bytes(file.getbuffer()), ".tif"
