"""Arrays from image and label files that nobody has checked.

A file with too many pixels is refused by its header, before any pixel is decoded. Damage is found because every pixel
is decoded.
"""

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import OutsideFileError, open_outside
from t2s_pipeline.vision.geometry import MAX_PIXELS

MAX_BYTES = 1_000_000_000
"""The most bytes of a file: more than a hundred million uncompressed pixels of three 16-bit channels."""

# Pillow's limit is off. It would warn below ours and raise in other places. Ours is checked for every file.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "TIFF")
"""The formats of the benchmarks. Pillow reads forty more, and some of them start other programs."""

_READ = ", ".join(FORMATS)

DAMAGE = (
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
"""The exceptions of Pillow's decoders for damaged files."""

_TURNED = (5, 6, 7, 8)
"""The EXIF orientations whose rows are the columns of the file."""

_OTHER_FORMATS = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x89HDF", "HDF5 or netCDF"),
    (b"CDF", "netCDF"),
    (b"\x93NUMPY", "NumPy"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"EHFA_HEADER_TAG", "ERDAS Imagine"),
)
"""The first bytes of formats that people have and that are not read."""


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


def loaded_picture(data: bytes, kind: str) -> Image.Image:
    """The picture with every pixel decoded by Pillow, in the EXIF orientation.

    Args:
        data: the file.
        kind: ``image`` or ``label``, for the reason of the fault.

    Raises:
        UnusableFileError: reason ``unsupported_<kind>`` for another format than JPEG, PNG and TIFF,
            ``corrupt_<kind>`` for a damaged file, or ``too_many_pixels``.
    """
    with _opened_picture(data, kind) as picture:
        picture.load()
        # Otherwise Pillow copies the pixels of each picture, also of one that is not turned.
        ImageOps.exif_transpose(picture, in_place=True)
        return picture


def decoded_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the EXIF orientation of a JPEG image whose coefficients are all decoded.

    Damage is found while the coefficients are decoded. So the pixels are made at an eighth of the size, which takes
    half of the time.

    Returns:
        None if the file is no JPEG file of grey or red, green and blue: ``loaded_picture`` decides about it.

    Raises:
        UnusableFileError: as ``loaded_picture`` for an image.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    with _opened_picture(data, "image") as picture:
        if picture.mode not in ("L", "RGB"):
            return None
        width, height = picture.size
        picture.draft(picture.mode, (max(1, width // 8), max(1, height // 8)))
        picture.load()
        is_turned = picture.getexif().get(ExifTags.Base.Orientation) in _TURNED
        ImageOps.exif_transpose(picture, in_place=True)
        return (height, width) if is_turned else (width, height)


@contextmanager
def _opened_picture(data: bytes, kind: str) -> Iterator[Image.Image]:
    """The picture before its pixels are decoded. Faults of Pillow are raised as ``UnusableFileError``."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            refuse_too_many_pixels(*picture.size)
            yield picture
    except UnusableFileError:
        raise
    except UnidentifiedImageError as error:
        other = _other_format(data)
        if other is not None:
            raise UnusableFileError(f"unsupported_{kind}", f"a {other} file; {_READ} are read") from error
        raise UnusableFileError(f"corrupt_{kind}", f"not a {_READ} file") from error
    except DAMAGE as error:
        raise UnusableFileError(f"corrupt_{kind}", f"{type(error).__name__}: {error}") from error


def refuse_too_many_pixels(width: int, height: int) -> None:
    """Refuse a picture of more pixels than ``MAX_PIXELS``.

    Raises:
        UnusableFileError: reason ``too_many_pixels``.
    """
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS // 1_000_000} million"
        raise UnusableFileError("too_many_pixels", f"{width}×{height} pixels, more than {limit}")


def is_tiff(data: bytes) -> bool:
    """True if the first bytes are those of a TIFF or BigTIFF file."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_deep_png(data: bytes) -> bool:
    """True for a PNG file of 16 bits per sample, of which Pillow keeps the upper 8 bits only."""
    return data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:25] == b"\x10"


def _other_format(data: bytes) -> str | None:
    """The name of a known format that is not read; None if the first bytes are of no known format."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return "HEIF or AVIF"
    return next((name for start, name in _OTHER_FORMATS if data.startswith(start)), None)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What was read of a file.

    Attributes:
        sha256: of the content; b"" if the file could not be read.
        state: the state of the file when it was opened (``file_state``); empty if it could not be read.
    """

    sha256: bytes
    state: bytes


_UNREAD = ReadFile(b"", b"")

READ_FILES: ContextVar[dict[Path, ReadFile] | None] = ContextVar("READ_FILES", default=None)
"""Where ``file_bytes`` notes each file that it reads, or could not read."""


def file_state(status: os.stat_result) -> bytes:
    """What the system tells about a file that differs after anybody has replaced it or written to it."""
    state = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return b"%d %d %d %d %d" % state  # bytes, because a split has tens of thousands of files


def read_digest(path: Path) -> bytes | None:
    """The sha256 of a file as ``file_bytes`` has noted it in ``READ_FILES``; None if it has not."""
    return (READ_FILES.get() or {}).get(path, _UNREAD).sha256 or None


def file_bytes(path: Path) -> bytes:
    """The bytes of a file. They are noted in ``READ_FILES``.

    Raises:
        UnusableFileError: reason ``unreadable_file``, or ``file_too_large`` above ``MAX_BYTES``.
    """
    notes = READ_FILES.get()
    if notes is not None:
        notes[path] = _UNREAD
    try:
        with open_outside(path) as file:
            # Python asks for as much memory as it may read, and that takes time.
            status = os.fstat(file.fileno())
            size = status.st_size
            data = file.read(min(size, MAX_BYTES) + 1)
            if size < len(data) <= MAX_BYTES:  # it has grown, or the system does not say how long it is
                data += file.read(MAX_BYTES + 1 - len(data))
    except OutsideFileError as error:
        raise UnusableFileError("unreadable_file", error.detail) from error
    except OSError as error:
        raise UnusableFileError("unreadable_file", f"{error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise UnusableFileError("file_too_large", f"more than {MAX_BYTES // 1_000_000} MB")
    if notes is not None:
        notes[path] = ReadFile(hashlib.sha256(data).digest(), file_state(status))
    return data
