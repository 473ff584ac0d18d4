"""Image and label files → arrays, distrusting every byte.

A file is refused for its declared size before a pixel of it is decoded, and for damage by decoding all of it.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import MAX_PIXELS

MAX_BYTES = 1_000_000_000
"""More than a hundred million uncompressed pixels of three 16-bit channels."""

# Pillow's own limit would warn below ours and raise elsewhere; ours is checked on every file we open.
Image.MAX_IMAGE_PIXELS = None

# Pillow knows forty more, some of which start other programs; benchmarks have these.
FORMATS = ("JPEG", "PNG", "TIFF")

# What Pillow's decoders raise for damaged files.
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
    """A file of a benchmark that cannot be used: ``reason`` is a short constant, ``detail`` what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode_image(data: bytes) -> np.ndarray:
    """The picture as displayed, uint8 (H, W, 3): EXIF orientation applied, alpha dropped, 16 bits stretched.

    Raises:
        UnusableFileError: reason ``corrupt_image`` or ``too_many_pixels``.
    """
    picture = _loaded(data, "corrupt_image")
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _stretched(np.asarray(picture, dtype=np.float64))
    return np.array(picture.convert("RGB"))


def displayed_size(data: bytes) -> tuple[int, int]:
    """Width and height of the picture as displayed; every pixel is decoded once, so damage is found here.

    Raises:
        UnusableFileError: reason ``corrupt_image`` or ``too_many_pixels``.
    """
    return _loaded(data, "corrupt_image").size


def decode_label(data: bytes, first_channel: bool = False) -> np.ndarray:
    """The target as a boolean mask (H, W): every pixel whose value or colour is not zero; alpha is ignored.

    A palette image is read by its colours, not its indices: tools that optimize PNG files reorder palettes.
    With ``first_channel``, only the first channel of a colour counts.

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
    return values.astype(bool) if values.ndim == 2 else values.any(axis=2)


def _loaded(data: bytes, damage: str) -> Image.Image:
    """The picture, every pixel decoded, turned as its EXIF says."""
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


def _stretched(values: np.ndarray) -> np.ndarray:
    """Grey values of any depth (H, W) → uint8 (H, W, 3), stretched between the 1st and 99th percentile."""
    low, high = np.percentile(values, [1, 99])
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    return np.repeat(scaled.round().astype(np.uint8)[..., None], 3, axis=2)


def file_bytes(path: Path) -> bytes:
    """The file's bytes.

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
