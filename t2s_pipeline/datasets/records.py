"""What a reader yields from a benchmark's files: images, samples and rejects."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from t2s_pipeline.vision.masks import Rle


@dataclass(frozen=True)
class ImageRecord:
    """An image file. ``width`` and ``height`` in pixels as displayed; ``data`` the original bytes."""

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
    """A target in an image and every question asked about it; ``mask`` at the image's native size."""

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
    """A benchmark's layout on disk.

    A *source* is the reader's own word for what is read in one go: one image with all that belongs to it.
    Sources are read in any number of threads, and their records kept in the order of ``sources``.
    """

    def splits(self, root: Path) -> list[str]:
        """Those of train, val and test that are there."""
        ...

    def sources(self, root: Path, split: str) -> Sequence[Any]:
        """Everything to read in the split, sorted.

        Raises:
            InputError: if the folder is not in this layout.
        """
        ...

    def files(self, root: Path, split: str) -> list[str]:
        """Every file that the sources are read from, below the root, sorted: the split's fingerprint."""
        ...

    def read(self, root: Path, source: Any) -> list[Record]:
        """The source's image, samples and rejects. What cannot be used is a reject, never an exception."""
        ...
