"""What a reader makes of a dataset's files: images, samples, rejects and notes."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import read_digest
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.pictures import Picture
from t2s_pipeline.vision.pixel_rules import Note, PixelRules
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.target_shape import TargetShape, shape_of


@dataclass(frozen=True)
class ImageRecord:
    """An image file. ``width`` and ``height`` are in pixels as displayed.

    ``data`` is the file itself, or the PNG made from a file that Pillow does not read in full depth.
    """

    image_id: str
    file_name: str
    width: int
    height: int
    data: bytes
    sha256: bytes
    """Of the original file, or of a chip and its place."""
    place: Place | None = None
    """Where its pixels lie on Earth, if the file states a CRS."""


def image_record(image_id: str, file_name: str, picture: Picture, data: bytes, path: Path) -> ImageRecord:
    """The record of a picture that was read from the bytes ``data`` of the file ``path``."""
    # Reading the file has computed its hash already, unless nobody wanted to know it.
    digest = read_digest(path) or hashlib.sha256(data).digest()
    return ImageRecord(image_id, file_name, picture.width, picture.height, picture.data, digest, picture.place)


def chip_record(image_id: str, file_name: str, data: bytes, width: int, height: int, place: Place) -> ImageRecord:
    """The record of a chip, the PNG file ``data``. Its hash covers its place, so that equal pixels elsewhere differ."""
    digest = hashlib.sha256(repr(place).encode() + data).digest()
    return ImageRecord(image_id, file_name, width, height, data, digest, place)


@dataclass(frozen=True)
class SampleRecord:
    """A target in an image and every question about it; ``mask`` has the image's native size."""

    sample_id: str
    image_id: str
    category: str | None
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    mask: Rle
    area: int
    """Target pixels."""
    shape: TargetShape | None
    """How long, wide and solid the target is; None without a target."""
    contains: tuple[str, ...] | None = None
    """The categories that are visible in the image, if the dataset says so."""


def sample_record(
    sample_id: str,
    image_id: str,
    category: str | None,
    questions: tuple[str, ...],
    answers: tuple[str, ...],
    mask: NDArray[np.bool_] | Rle,
    contains: tuple[str, ...] | None = None,
) -> SampleRecord:
    """The record of a target whose mask is given as pixels (H, W) or as run lengths. It is measured here."""
    rle, pixels = (mask, masks.decode(mask)) if isinstance(mask, Rle) else (masks.encode(mask), mask)
    area = int(np.count_nonzero(pixels))
    return SampleRecord(sample_id, image_id, category, questions, answers, rle, area, shape_of(pixels), contains)


@dataclass(frozen=True)
class RejectRecord:
    """A file, or a row of one, that was set aside; ``reason`` is one of a few short constants."""

    source: str
    reason: str
    detail: str


@dataclass(frozen=True)
class NoteRecord:
    """Something about a file or row that is used: a row of the table ``notes``.

    ``kind`` is one of a few short constants. A note that is no warning records how the file was read.
    """

    source: str
    kind: str
    detail: str
    is_warning: bool


def note_records(source: str, notes: Iterable[Note]) -> list[NoteRecord]:
    """The notes about a file or row."""
    return [NoteRecord(source, note.kind, note.detail, note.is_warning) for note in notes]


Record = ImageRecord | SampleRecord | RejectRecord | NoteRecord


class Reader(Protocol):
    """Reads a layout on disk.

    A *source* is what is read at once: one image with everything that belongs to it. Its type is up to the reader.
    Several threads read the sources, and the records keep the order of ``sources``.
    """

    @property
    def rules(self) -> PixelRules:
        """How pixels are read where a file alone does not decide it."""
        ...

    def splits(self, root: Path) -> list[str]:
        """Those of train, val and test that the folder holds."""
        ...

    def sources(self, root: Path, split: str) -> Sequence[Any]:
        """Everything to read in the split, in a fixed order.

        Raises:
            InputError: if the folder is not in this layout.
        """
        ...

    def files(self, root: Path, split: str) -> list[str]:
        """Every file that the sources are read from, as sorted paths below the root: the split's fingerprint."""
        ...

    def read(self, root: Path, source: Any) -> list[Record]:
        """The source's image, samples, rejects and notes. What cannot be used is a reject, never an exception."""
        ...
