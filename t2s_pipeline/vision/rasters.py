"""Bands of a TIFF file, or of a PNG file of 16 bits, in their full depth, read with rasterio (GDAL).

rasterio is imported when the first such file is read, because the import takes as long as reading a hundred files.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2s_pipeline.vision.image_files import DAMAGE, UnusableFileError, is_tiff, refuse_too_many_pixels
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.tiff_tags import TiffTags, tiff_tags

DRIVERS = ("GTiff", "PNG")
"""GDAL reads two hundred formats, and some of them name other files."""

_UNSUPPORTED = re.compile(r"codec|compress|unsupported|not supported|cannot handle", re.IGNORECASE)
"""What GDAL says of a file that it cannot read although the file is not damaged."""

_NAME_IN_MEMORY = re.compile(r"(/vsimem/)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/[0-9a-f-]{36})?(\.\w+)?")
"""The random name under which GDAL sees the bytes."""

_EXIF_ORIENTATION = 0x0112

Array = NDArray[Any]


class RasterFile:
    """An open file. Bands are numbered from 1, and come turned as the file is displayed."""

    def __init__(self, dataset: Any, tags: TiffTags | None, orientation: int) -> None:
        self._dataset = dataset
        self._orientation = orientation
        self._inverted = tags is not None and tags.min_is_white
        self.colours: tuple[str, ...] = tuple(colour.name for colour in dataset.colorinterp)
        """What each band means: red, green, blue, gray, palette, alpha, undefined …"""
        self.is_lossy: bool = dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION_REVERSIBILITY") == "LOSSY"

    @property
    def is_eight_bit(self) -> bool:
        """True if all bands are of unsigned bytes."""
        return set(self._dataset.dtypes) == {"uint8"}

    @property
    def palette(self) -> Array | None:
        """The colours of a file with a palette: uint8 (n, 3), black for an index without a colour."""
        if self.colours[0] != "palette":
            return None
        entries = self._dataset.colormap(1)
        colours = np.zeros((max(entries) + 1, 3), dtype=np.uint8)
        for index, colour in entries.items():
            colours[index] = colour[:3]
        return colours

    @property
    def place(self) -> Place | None:
        """Where the pixels lie; None without a CRS or a grid, or if the file is displayed turned."""
        place = Place.of(self._dataset)
        is_placed = bool(place.crs) and self._orientation == 1 and not self._dataset.transform.is_identity
        return place if is_placed and not self._dataset.transform.is_degenerate else None

    def band(self, number: int, ignore_alpha: bool = False) -> tuple[Array, NDArray[np.bool_]]:
        """The values of a band (H, W), and which of them are present (H, W).

        A value is absent if it is the nodata value, not finite, or masked by the file. An alpha of 0 masks too, unless
        ``ignore_alpha``. Where the smallest value is white, unsigned values are turned round.

        Args:
            number: the band; the first is 1.
            ignore_alpha: alpha masks nothing.
        """
        values: Array = self._dataset.read(number)
        flags = {flag.name for flag in self._dataset.mask_flag_enums[number - 1]}
        present = np.ones(values.shape, dtype=bool)
        if "all_valid" not in flags and not (ignore_alpha and "alpha" in flags):
            present = self._dataset.read_masks(number) != 0
        if values.dtype.kind == "f":
            present &= np.isfinite(values)
        if self._inverted and values.dtype.kind == "u" and self.palette is None:
            values = np.iinfo(values.dtype).max - values
        return _turned(values, self._orientation), _turned(present, self._orientation)


@contextmanager
def open_raster(data: bytes, kind: str) -> Iterator[RasterFile]:
    """Open a file that lies in memory.

    Args:
        data: a TIFF or PNG file.
        kind: ``image`` or ``label``, for the reason of the fault.

    Raises:
        UnusableFileError: reason ``unsupported_<kind>`` for samples or a compression that GDAL does not read,
            ``corrupt_<kind>`` for a damaged file, or ``too_many_pixels``. Faults of the pixels are raised too, when a
            band is read.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    settings = {"GDAL_PAM_ENABLED": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    try:
        with rasterio.Env(**settings), rasterio.MemoryFile(data) as file, file.open(driver=DRIVERS) as dataset:
            refuse_too_many_pixels(dataset.width, dataset.height)
            odd = sorted({name for name in dataset.dtypes if "complex" in name})
            if odd:
                raise UnusableFileError(f"unsupported_{kind}", f"its samples are complex numbers ({odd[0]})")
            tags = tiff_tags(data) if is_tiff(data) else None
            yield RasterFile(dataset, tags, tags.orientation if tags else _exif_orientation(data))
    except UnusableFileError:
        raise
    except (RasterioError, *DAMAGE) as error:
        reason = "unsupported" if _UNSUPPORTED.search(str(error)) else "corrupt"
        text = " ".join(_NAME_IN_MEMORY.sub("the file", str(error.__cause__ or error)).split())
        raise UnusableFileError(f"{reason}_{kind}", f"{type(error).__name__}: {text}") from error


def place_of(data: bytes, kind: str) -> Place | None:
    """Where the pixels of a TIFF file lie; None if it states no CRS, or GDAL does not read it.

    Args:
        data: a file that Pillow or GDAL reads.
        kind: ``image`` or ``label``.
    """
    try:
        with open_raster(data, kind) as file:
            return file.place
    except UnusableFileError:
        return None


def _exif_orientation(data: bytes) -> int:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        return int(picture.getexif().get(_EXIF_ORIENTATION, 1))


def _turned(values: Array, orientation: int) -> Array:
    """The array (H, W) as displayed, by the orientation of TIFF and EXIF, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        values = values.T
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
