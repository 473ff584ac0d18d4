"""Pictures as the prompter gets them: 8-bit colour, made from a file of any depth and any number of bands.

A JPEG, PNG or TIFF file of 8 bits per sample is shown as it is. Any other file is stretched: one range for all shown
bands, from the 1st to the 99th percentile of their present values, becomes 0 to 255. A value that is nodata or not
finite is black and no part of the stretch.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2s_pipeline.vision.image_files import UnusableFileError, decoded_jpeg_size, is_deep_png, is_tiff, loaded_picture
from t2s_pipeline.vision.pixel_rules import Note
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.rasters import open_raster, place_of
from t2s_pipeline.vision.stretch import bands_in_words, default_bands, limits, require_bands, stretched
from t2s_pipeline.vision.tiff_tags import Grid, tiff_tags

_FASTEST = 1
"""zlib's level for the PNG files: a lossless picture for the lake, not a small one."""


@dataclass(frozen=True)
class Picture:
    """A picture file after every pixel was decoded and converted once.

    Attributes:
        width: in pixels, as displayed.
        height: in pixels, as displayed.
        data: what is stored: the file itself if Pillow alone makes the picture from it, else a PNG of the picture.
        notes: what is special about the file.
        grid: where its pixels lie on Earth, if it states that.
    """

    width: int
    height: int
    data: bytes
    notes: tuple[Note, ...] = ()
    grid: Grid | None = None
    place: Place | None = None
    """The grid with its CRS, whatever that is and however the grid is turned."""


def read_picture(data: bytes, bands: tuple[int, ...] = ()) -> Picture:
    """Decode and convert the whole picture, as it is displayed.

    Args:
        data: a JPEG, PNG or TIFF file.
        bands: the numbers of the bands that are red, green and blue, or of the one that is grey. Empty: those that the
            file names so, else the first three, or the first of one or two.

    Raises:
        UnusableFileError: reason ``corrupt_image``, ``unsupported_image``, ``too_many_pixels``, ``missing_band`` or
            ``no_values`` (every pixel is nodata or not finite).
    """
    size = None if bands else decoded_jpeg_size(data)
    if size is not None:
        return Picture(*size, data)
    grid, plain = _plain(data)
    place = place_of(data, "image") if grid is not None else None
    if plain is not None and not bands:
        if plain.mode != "RGB":
            plain.convert("RGB")
        return Picture(*plain.size, data, (), grid, place)
    notes: tuple[Note, ...] = ()
    if plain is not None:
        pixels = _chosen(np.asarray(plain if plain.mode in ("L", "RGB") else plain.convert("RGB")), bands)
    else:
        pixels, notes = _from_bands(data, bands)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_FASTEST)
    return Picture(pixels.shape[1], pixels.shape[0], buffer.getvalue(), notes, grid, place)


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """The picture as it is displayed, uint8 (H, W, 3). Alpha is dropped, not blended.

    Raises:
        UnusableFileError: as ``read_picture``.
    """
    _, plain = _plain(data)
    if plain is not None:
        return np.array(plain.convert("RGB"))
    pixels, _ = _from_bands(data, ())
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _plain(data: bytes) -> tuple[Grid | None, Image.Image | None]:
    """The grid of a TIFF file, and the picture if Pillow reads it in full depth.

    A TIFF file on which Pillow fails is left to GDAL, which reads more compressions.
    """
    if not is_tiff(data):
        return None, None if is_deep_png(data) else loaded_picture(data, "image")
    tags = tiff_tags(data)
    if tags is None or not tags.is_plain:
        return tags.grid if tags else None, None
    try:
        return tags.grid, loaded_picture(data, "image")
    except UnusableFileError as error:
        if error.reason != "corrupt_image":
            raise
        return tags.grid, None


def _chosen(pixels: NDArray[np.uint8], bands: tuple[int, ...]) -> NDArray[np.uint8]:
    """The chosen channels of an 8-bit picture, (H, W) or (H, W, 3)."""
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    require_bands(bands, channels.shape[2])
    chosen: NDArray[np.uint8] = np.ascontiguousarray(channels[..., [band - 1 for band in bands]])
    return chosen[..., 0] if len(bands) == 1 else chosen


def _from_bands(data: bytes, bands: tuple[int, ...]) -> tuple[NDArray[np.uint8], tuple[Note, ...]]:
    """The picture, uint8 (H, W) or (H, W, 3), and how it was made."""
    with open_raster(data, "image") as file:
        palette = file.palette
        if palette is not None and not bands:
            indices, _ = file.band(1)
            return palette[np.minimum(indices, len(palette) - 1)], ()
        shown, is_assumed = (bands, False) if bands else default_bands(file.colours)
        require_bands(shown, len(file.colours))
        layers = [file.band(band) for band in shown]
        is_eight_bit = file.is_eight_bit
    notes = []
    if is_assumed:
        meaning = "red, green, blue" if len(shown) == 3 else "grey"
        detail = f"of {len(file.colours)} bands, {bands_in_words(shown)} shown as {meaning}: --bands names others"
        notes.append(Note("assumed_bands", detail))
    if is_eight_bit:
        return _stacked([values for values, _ in layers]), tuple(notes)
    low, high = limits(values[present] for values, present in layers)
    detail = f"{bands_in_words(shown)}: {low:.9g} becomes 0, {high:.9g} becomes 255"
    notes.append(Note("stretched", detail, is_warning=False))
    if low == high:
        notes.append(Note("no_contrast", f"1 % to 99 % of its values are {low:.9g}: the picture has one grey value"))
    return _stacked([stretched(values, present, low, high) for values, present in layers]), tuple(notes)


def _stacked(bands: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(bands[0]) if len(bands) == 1 else np.stack(bands, axis=2)
