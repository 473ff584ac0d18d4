"""What a TIFF file says about itself: sample type, pages, nodata, orientation, place on Earth. No pixel is decoded."""

import io
from dataclasses import dataclass
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from t2s_pipeline.vision.image_files import DAMAGE

MAX_PAGES = 1000
JPEG_COMPRESSIONS = frozenset({6, 7, 34892})
"""Old-style JPEG, JPEG, and the lossy JPEG of DNG files."""
COMMON_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946})
"""None, CCITT, LZW, JPEG, deflate and PackBits: every build of Pillow reads them."""

_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 254, 258, 259, 262, 274
_SAMPLES, _PLANAR, _EXTRA, _FORMAT, _NODATA = 277, 284, 338, 339, 42113
_PIXEL_SCALE, _TIE_POINT, _TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
_PROJECTED, _GEOGRAPHIC = 3072, 2048


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a file lie.

    Attributes:
        epsg: the code of the coordinate reference system; None if the file states no code.
        left: first coordinate of the outer corner of the first pixel.
        top: second coordinate of that corner.
        dx: step of the first coordinate from one column to the next.
        dy: step of the second coordinate from one row to the next; positive if the first row is the southern one.
    """

    epsg: int | None
    left: float
    top: float
    dx: float
    dy: float

    def differs_from(self, other: "Grid", width: int, height: int) -> bool:
        """True if a corner of an image of that size lies more than half a pixel apart in the two grids."""
        across, down = abs(other.dx) / 2, abs(other.dy) / 2
        ends = (self.left + width * self.dx, self.top + height * self.dy)
        others = (other.left + width * other.dx, other.top + height * other.dy)
        return (
            abs(self.left - other.left) > across
            or abs(self.top - other.top) > down
            or abs(ends[0] - others[0]) > across
            or abs(ends[1] - others[1]) > down
        )


@dataclass(frozen=True)
class TiffTags:
    """The tags of the first page, and the number of pages. Overviews and mask pages are no pages."""

    bits: int
    """Bits of a sample; the largest number where the samples differ."""
    is_unsigned: bool
    """False for signed, float and complex samples."""
    samples: int
    has_unnamed_samples: bool
    """The file has samples beside its colours that are no alpha."""
    is_planar: bool
    min_is_white: bool
    compression: int
    orientation: int
    has_absent_pixels: bool
    """The file has a nodata value or a page that masks pixels."""
    pages: int
    grid: Grid | None

    @property
    def is_jpeg(self) -> bool:
        """True if the compression changes values."""
        return self.compression in JPEG_COMPRESSIONS

    @property
    def is_plain(self) -> bool:
        """True if Pillow reads the samples as they are: at most four unsigned ones of at most 8 bits per pixel."""
        is_small = self.bits <= 8 and self.is_unsigned and self.samples <= 4
        return is_small and self.compression in COMMON_COMPRESSIONS and not (self.is_planar and self.samples > 1)


def tiff_tags(data: bytes) -> TiffTags | None:
    """The tags of a TIFF file; None if they cannot be read, e.g. because the file is damaged."""
    try:
        pages = _pages(data)
        first, kinds = pages[0], [int(page.get(_KIND, 0)) for page in pages[1:]]
        return TiffTags(
            bits=max(_numbers(first, _BITS, 1)),
            is_unsigned=set(_numbers(first, _FORMAT, 1)) <= {1, 4},
            samples=int(first.get(_SAMPLES, 1)),
            has_unnamed_samples=_EXTRA in first and not set(_numbers(first, _EXTRA, 0)) <= {1, 2},
            is_planar=first.get(_PLANAR, 1) == 2,
            min_is_white=first.get(_PHOTOMETRIC) == 0,
            compression=int(first.get(_COMPRESSION, 1)),
            orientation=int(first.get(_ORIENTATION, 1)),
            has_absent_pixels=_NODATA in first or any(kind & 4 for kind in kinds),
            pages=1 + sum(not kind & 5 for kind in kinds),
            grid=_grid(first),
        )
    except DAMAGE:
        return None


def _pages(data: bytes) -> list[ImageFileDirectory_v2]:
    """The directories of the file, in their order; a chain that leads back to itself ends there."""
    file = io.BytesIO(data)
    header = file.read(16 if data[2:3] == b"\x2b" else 8)
    start = ImageFileDirectory_v2(header).next
    pages: list[ImageFileDirectory_v2] = []
    seen: set[int] = set()
    while start and start not in seen and len(pages) < MAX_PAGES:
        seen.add(start)
        file.seek(start)
        page = ImageFileDirectory_v2(header)
        page.load(file)
        pages.append(page)
        start = page.next
    return pages


def _numbers(page: ImageFileDirectory_v2, tag: int, default: int) -> tuple[int, ...]:
    value: Any = page.get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (int(value),)


def _grid(page: ImageFileDirectory_v2) -> Grid | None:
    """The grid of a GeoTIFF without rotation; None if the page has none."""
    keys = page.get(_GEO_KEYS, ())
    codes = {keys[i]: keys[i + 3] for i in range(4, len(keys) - 3, 4)}
    epsg = next((int(codes[key]) for key in (_PROJECTED, _GEOGRAPHIC) if codes.get(key, 32767) != 32767), None)
    matrix, scale, tie = (page.get(tag, ()) for tag in (_TRANSFORMATION, _PIXEL_SCALE, _TIE_POINT))
    if len(matrix) == 16:
        return Grid(epsg, matrix[3], matrix[7], matrix[0], matrix[5])
    if len(scale) >= 2 and len(tie) >= 6:
        dx, dy = scale[0], -scale[1]
        return Grid(epsg, tie[3] - tie[0] * dx, tie[4] - tie[1] * dy, dx, dy)
    return None
