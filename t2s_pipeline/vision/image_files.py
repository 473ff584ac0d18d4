"""Arrays from image and label files that nobody has checked.

A file with too many pixels is refused by its header, before any pixel is decoded. Damage is found because every pixel
is decoded.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import MAX_PIXELS

MAX_BYTES = 1_000_000_000
"""The most bytes of a file: more than a hundred million uncompressed pixels of three 16-bit channels."""

# Pillow's limit is off. It would warn below ours and raise in other places. Ours is checked for every file.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "TIFF")
"""The formats of the benchmarks. Pillow reads forty more, and some of them start other programs."""

# The exceptions of Pillow's decoders for damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


class UnusableFileError(InputError):
    """A file of a benchmark that cannot be used.

    Attributes:
        reason: a short constant, for counting.
        detail: what is wrong with this file.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """The picture as it is displayed, uint8 (H, W, 3).

    The EXIF orientation is applied and alpha is dropped. Deeper pixels are stretched to the range 0 to 255.

    Raises:
        UnusableFileError: reason ``corrupt_image`` or ``too_many_pixels``.
    """
    picture = _loaded(data, "corrupt_image")
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _stretched(np.asarray(picture, dtype=np.float64))
    return np.array(picture.convert("RGB"))


def displayed_size(data: bytes) -> tuple[int, int]:
    """Width and height, in pixels, of the picture as it is displayed. Every pixel is decoded, so damage is found.

    Raises:
        UnusableFileError: reason ``corrupt_image`` or ``too_many_pixels``.
    """
    return _loaded(data, "corrupt_image").size


def decode_label(data: bytes, first_channel: bool = False) -> NDArray[np.bool_]:
    """The target as a boolean mask (H, W): every pixel whose value or colour is not zero. Alpha is ignored.

    A palette image is read by its colours and not by its indices, because tools that optimize PNG files reorder
    palettes.

    Args:
        data: the file.
        first_channel: only the first channel of a colour counts.

    Raises:
        UnusableFileError: reason ``corrupt_label`` or ``too_many_pixels``.
    """
    picture = _loaded(data, "corrupt_label")
    if picture.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    if picture.mode in ("LA", "La", "RGBA", "RGBa", "RGBX"):
        values = values[..., :-1]
    if values.ndim == 3 and first_channel:
        values = values[..., 0]
    target: NDArray[np.bool_] = values.astype(bool) if values.ndim == 2 else np.any(values, axis=2)
    return target


def _loaded(data: bytes, damage: str) -> Image.Image:
    """The picture with every pixel decoded, in the EXIF orientation; ``damage`` is the reason for a damaged file."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise UnusableFileError(
                    "too_many_pixels", f"{width}×{height} pixels, more than {MAX_PIXELS // 1_000_000} million"
                )
            picture.load()
            return ImageOps.exif_transpose(picture)
    except UnusableFileError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableFileError(damage, f"not a {', '.join(FORMATS)} file") from error
    except _DAMAGE as error:
        raise UnusableFileError(damage, f"{type(error).__name__}: {error}") from error


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey values of any depth (H, W) → uint8 (H, W, 3), stretched between the 1st and 99th percentile."""
    low, high = np.percentile(values, [1, 99])
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    return np.repeat(scaled.round().astype(np.uint8)[..., None], 3, axis=2)


def file_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnusableFileError: reason ``unreadable_file``, or ``file_too_large`` above ``MAX_BYTES``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnusableFileError("unreadable_file", f"{error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise UnusableFileError("file_too_large", f"more than {MAX_BYTES // 1_000_000} MB")
    return data
