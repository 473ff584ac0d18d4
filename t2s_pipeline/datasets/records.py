"""What a reader makes of a dataset's files: images, samples and rejects."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from t2s_pipeline.vision.masks import Rle


@dataclass(frozen=True)
class ImageRecord:
    """An image file. ``width`` and ``height`` are in pixels as displayed; ``data`` are the original bytes."""

    image_id: str
    file_name: str
    width: int
    height: int
    data: bytes

    @cached_property
    def sha256(self) -> bytes:
        """Of the original bytes."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True)
class SampleRecord:
    """A target in an image and every question about it; ``mask`` has the image's native size."""

    sample_id: str
    image_id: str
    category: str | None
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    mask: Rle

    @cached_property
    def area(self) -> int:
        """Target pixels."""
        return self.mask.area


@dataclass(frozen=True)
class RejectRecord:
    """A file, or a row of one, that was set aside; ``reason`` is one of a few short constants."""

    source: str
    reason: str
    detail: str


Record = ImageRecord | SampleRecord | RejectRecord


class Reader(Protocol):
    """Reads a layout on disk.

    A *source* is what is read at once: one image with everything that belongs to it. Its type is up to the reader.
    Several threads read the sources, and the records keep the order of ``sources``.
    """

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
        """The source's image, samples and rejects. What cannot be used is a reject, never an exception."""
        ...
