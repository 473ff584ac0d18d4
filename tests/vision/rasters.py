"""TIFF files for the tests, written with rasterio."""

import warnings
from typing import Any

import numpy as np
import rasterio

UTM = {"crs": "EPSG:32633", "transform": (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)}
"""A place on Earth for ``tiff``: pixels of 10 m, the first row is the northern one."""


def tiff(bands: np.ndarray, **options: Any) -> bytes:
    """A GeoTIFF of bands (B, H, W); ``transform`` is six numbers."""
    if "transform" in options:
        options["transform"] = rasterio.Affine(*options["transform"])
    colours = options.pop("colours", None)
    colormap = options.pop("colormap", None)
    count, height, width = bands.shape
    with rasterio.MemoryFile() as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with file.open(
                driver="GTiff", count=count, height=height, width=width, dtype=bands.dtype, **options
            ) as dataset:
                dataset.write(bands)
                if colours:
                    dataset.colorinterp = [rasterio.enums.ColorInterp[colour] for colour in colours]
                if colormap:
                    dataset.write_colormap(1, colormap)
        return bytes(file.getbuffer())
