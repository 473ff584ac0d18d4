"""Layouts in which an index names images and masks: what their readers share.

A target that cannot be used becomes one reject that names its row of the index. So every row of the index becomes
either a sample or a reject, whatever is wrong with the files that it names.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from t2s_pipeline.datasets.layout import NamedFiles, names_below, shown
from t2s_pipeline.datasets.records import ImageRecord, Record, RejectRecord, SampleRecord
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError, decode_label, displayed_size, file_bytes
from t2s_pipeline.vision.masks import Rle


class MaskSource(Protocol):
    """Where the mask of a target comes from."""

    def mask(self, width: int, height: int) -> Rle:
        """The mask for an image of that size in pixels.

        Raises:
            UnusableFileError: if there is no usable mask of that size.
        """
        ...


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask as a picture; with ``first_channel``, only the first channel counts."""

    path: Path
    first_channel: bool = False

    def mask(self, width: int, height: int) -> Rle:
        """The decoded file. Raises as ``MaskSource.mask``."""
        try:
            pixels = decode_label(file_bytes(self.path), self.first_channel)
        except UnusableFileError as error:
            raise UnusableFileError(error.reason, f"{self.path.name}: {error.detail}") from error
        if pixels.shape != (height, width):
            detail = f"mask {self.path.name} is {pixels.shape[1]}×{pixels.shape[0]}, image {width}×{height}"
            raise UnusableFileError("size_mismatch", detail)
        return masks.encode(pixels)


@dataclass(frozen=True, slots=True)
class NoTarget:
    """The index says that the image holds no target."""

    def mask(self, width: int, height: int) -> Rle:
        """An empty mask of that size in pixels."""
        return masks.encode(np.zeros((height, width), dtype=bool))


@dataclass(frozen=True, slots=True)
class Row:
    """A target as the index states it: its files are still names."""

    row: str
    """The place in the index, for rejects: file and line, or file and key."""
    image: str
    questions: tuple[str, ...]
    mask_source: MaskSource | None = None
    mask: str | None = None
    """The mask's file name, where there is no ``mask_source``."""
    sample_id: str | None = None
    """None: the stem of the image."""
    answers: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A target whose files exist."""

    row: str
    sample_id: str
    questions: tuple[str, ...]
    mask_source: MaskSource
    answers: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image and its targets. Without an image it holds what is wrong with the index itself, as ``rejects``."""

    image_id: str = ""
    image: Path | None = None
    targets: tuple[Target, ...] = ()
    rejects: tuple[RejectRecord, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The picture files that it is read from."""
        mask_files = [target.mask_source.path for target in self.targets if isinstance(target.mask_source, MaskFile)]
        return [*([self.image] if self.image else []), *mask_files]


@dataclass(frozen=True)
class Index:
    """What the index of a split says, and the folders in which its names are looked up."""

    files: list[Path]
    """The index files themselves."""
    rows: Iterable[Row | RejectRecord]
    images: NamedFiles
    masks: NamedFiles | None = None
    """None: no row names a mask file."""
    first_channel: bool = False
    """Only the first channel of a mask file counts."""


class IndexReader(ABC):
    """A ``Reader`` of a layout with an index; a layout states its splits and its index."""

    @abstractmethod
    def splits(self, root: Path) -> list[str]:
        """Those of train, val and test that the folder holds."""

    @abstractmethod
    def index(self, root: Path, split: str) -> Index:
        """The index of a split.

        Raises:
            InputError: if the folder is not in this layout.
        """

    def sources(self, root: Path, split: str) -> list[AnnotatedImage]:
        """The images that the index names, in its order. Raises as ``index``."""
        return annotated_images(self.index(root, split))

    def files(self, root: Path, split: str) -> list[str]:
        """The index files, images and mask files, as sorted paths below the root."""
        index = self.index(root, split)
        pictures = (path for image in annotated_images(index) for path in image.files)
        return names_below(root, [*index.files, *pictures])

    def read(self, root: Path, source: AnnotatedImage) -> list[Record]:
        """The image, its samples and its rejects."""
        return read_annotated_image(root, source)


class UniqueIds:
    """Sample or image ids of a split. An id that was used before gets ``#2``, ``#3`` … at its end."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._times: dict[str, int] = {}

    def unique(self, wish: str) -> str:
        """The id itself the first time, later a variant that was not used before."""
        unique = wish
        while unique in self._used:
            self._times[wish] = self._times.get(wish, 1) + 1
            unique = f"{wish}#{self._times[wish]}"
        self._used.add(unique)
        return unique


def annotated_images(index: Index) -> list[AnnotatedImage]:
    """The rows of an index by image, in the order in which the index first names each image.

    Rows that cannot be read, and rows that name a missing file, come first, as the rejects of an entry without image.
    """
    targets: dict[Path, list[Target]] = {}
    unreadable: list[RejectRecord] = []
    without_files: list[RejectRecord] = []
    sample_ids, image_ids = UniqueIds(), UniqueIds()
    for row in index.rows:
        if isinstance(row, RejectRecord):
            unreadable.append(row)
            continue
        try:
            image = index.images.find(row.image, "image")
            mask_source = row.mask_source or _mask_file(index, row)
        except UnusableFileError as error:
            without_files.append(RejectRecord(row.row, error.reason, error.detail))
            continue
        sample_id = sample_ids.unique(row.sample_id or image.stem)
        target = Target(row.row, sample_id, row.questions, mask_source, row.answers, row.category)
        targets.setdefault(image, []).append(target)
    rejects = (*unreadable, *without_files)
    images = [AnnotatedImage(image_ids.unique(path.stem), path, tuple(group)) for path, group in targets.items()]
    return [AnnotatedImage(rejects=rejects), *images] if rejects else images


def _mask_file(index: Index, row: Row) -> MaskFile:
    if index.masks is None or row.mask is None:
        raise UnusableFileError("missing_mask", "the row names no mask file")
    return MaskFile(index.masks.find(row.mask, "mask"), index.first_channel)


def read_annotated_image(root: Path, source: AnnotatedImage) -> list[Record]:
    """The image, its samples, and a reject for each target that cannot be used.

    An image without a usable target is left out.
    """
    records: list[Record] = list(source.rejects)
    if source.image is None:
        return records
    name = shown(root, source.image)
    try:
        data = file_bytes(source.image)
        width, height = displayed_size(data)
    except UnusableFileError as error:
        detail = f"{name}: {error.detail}"
        return records + [RejectRecord(target.row, error.reason, detail) for target in source.targets]
    samples: list[SampleRecord] = []
    decoded: dict[MaskSource, Rle] = {}
    for target in source.targets:
        questions = tuple(question for question in target.questions if question.strip())
        blank = len(target.questions) - len(questions)
        if blank or not questions:
            detail = f"{blank} of its {len(target.questions)} questions have no words"
            records.append(RejectRecord(target.row, "blank_question", detail))
        if not questions:
            continue
        try:
            # Several targets may share a mask file; it is decoded once.
            mask = decoded.get(target.mask_source) or target.mask_source.mask(width, height)
        except UnusableFileError as error:
            records.append(RejectRecord(target.row, error.reason, error.detail))
            continue
        if isinstance(target.mask_source, MaskFile):
            decoded[target.mask_source] = mask
        samples.append(
            SampleRecord(target.sample_id, source.image_id, target.category, questions, target.answers, mask)
        )
    if samples:
        records.append(ImageRecord(source.image_id, name, width, height, data))
    return [*records, *samples]
