"""One image and every target that an index names in it → records. What the readers of indexed layouts share.

A target that cannot be used is one reject that names its row of the index, so that rows in are samples and
rejects out, whatever is wrong with the files they point to.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from t2s_pipeline.datasets.layout import NamedFiles, shown
from t2s_pipeline.datasets.records import ImageRecord, Record, RejectRecord, SampleRecord
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError, decode_label, displayed_size, file_bytes
from t2s_pipeline.vision.masks import Rle


class Drawing(Protocol):
    """Where a target's mask comes from."""

    def mask(self, width: int, height: int) -> Rle:
        """The mask of an image of that size in pixels.

        Raises:
            UnusableFileError: if there is no usable one of that size.
        """
        ...


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask as a picture; with ``first_channel``, only the first channel counts."""

    path: Path
    first_channel: bool = False

    def mask(self, width: int, height: int) -> Rle:
        try:
            drawn = decode_label(file_bytes(self.path), self.first_channel)
        except UnusableFileError as error:
            raise UnusableFileError(error.reason, f"{self.path.name}: {error.detail}") from error
        if drawn.shape != (height, width):
            found = f"mask {self.path.name} is {drawn.shape[1]}×{drawn.shape[0]}, image {width}×{height}"
            raise UnusableFileError("size_mismatch", found)
        return masks.encode(drawn)


@dataclass(frozen=True, slots=True)
class NoTarget:
    """The index says that there is nothing to find."""

    def mask(self, width: int, height: int) -> Rle:
        return masks.encode(np.zeros((height, width), dtype=bool))


@dataclass(frozen=True, slots=True)
class Target:
    """What an index says of one target; ``row`` names the place, for rejects."""

    row: str
    sample_id: str
    questions: tuple[str, ...]
    drawing: Drawing
    answers: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """An image and its targets, and what was wrong with the index itself; without an image, only the latter."""

    image_id: str = ""
    image: Path | None = None
    targets: tuple[Target, ...] = ()
    rejects: tuple[RejectRecord, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The picture files that it is read from."""
        drawn = [target.drawing.path for target in self.targets if isinstance(target.drawing, MaskFile)]
        return [*([self.image] if self.image else []), *drawn]


class Ids:
    """Sample and image ids of a split: each as wanted the first time, with ``#2``, ``#3`` … after that."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._times: dict[str, int] = {}

    def fresh(self, wanted: str) -> str:
        given = wanted
        while given in self._taken:
            self._times[wanted] = self._times.get(wanted, 1) + 1
            given = f"{wanted}#{self._times[wanted]}"
        self._taken.add(given)
        return given


@dataclass(frozen=True, slots=True)
class Row:
    """A target whose files are still names."""

    row: str
    image: str
    questions: tuple[str, ...]
    drawing: Drawing | None = None
    mask: str | None = None
    """The mask's file name, where there is no drawing yet."""
    sample_id: str | None = None
    """Else the stem of its image."""
    answers: tuple[str, ...] = ()
    category: str | None = None


def scenes_of(
    rows: list[Row], images: NamedFiles, drawn: NamedFiles | None, first_channel: bool = False
) -> list[Scene]:
    """The rows gathered by image, in the order in which the index first names each; what names nothing is set aside.

    Args:
        images: where image names are looked up.
        drawn: where mask names are.
    """
    found: dict[Path, list[Target]] = {}
    rejects: list[RejectRecord] = []
    sample_ids, image_ids = Ids(), Ids()
    for row in rows:
        try:
            image = images.find(row.image, "image")
            drawing = row.drawing or MaskFile(drawn.find(row.mask, "mask"), first_channel)
        except UnusableFileError as error:
            rejects.append(RejectRecord(row.row, error.reason, error.detail))
            continue
        sample_id = sample_ids.fresh(row.sample_id or image.stem)
        target = Target(row.row, sample_id, row.questions, drawing, row.answers, row.category)
        found.setdefault(image, []).append(target)
    scenes = [Scene(image_ids.fresh(image.stem), image, tuple(targets)) for image, targets in found.items()]
    return [Scene(rejects=tuple(rejects)), *scenes] if rejects else scenes


def read_scene(root: Path, scene: Scene) -> list[Record]:
    """The image, its samples, and a reject for each target that cannot be used; no image without a sample."""
    records: list[Record] = list(scene.rejects)
    if scene.image is None:
        return records
    name = shown(root, scene.image)
    try:
        data = file_bytes(scene.image)
        width, height = displayed_size(data)
    except UnusableFileError as error:
        detail = f"{name}: {error.detail}"
        return records + [RejectRecord(target.row, error.reason, detail) for target in scene.targets]
    samples: list[SampleRecord] = []
    drawn: dict[Drawing, Rle] = {}
    for target in scene.targets:
        questions = tuple(question for question in target.questions if question.strip())
        blank = len(target.questions) - len(questions)
        if blank or not questions:
            found = f"{blank} of its {len(target.questions)} questions have no words"
            records.append(RejectRecord(target.row, "blank_question", found))
        if not questions:
            continue
        try:
            # Several targets may share a mask file; it is decoded once.
            mask = drawn.get(target.drawing) or target.drawing.mask(width, height)
        except UnusableFileError as error:
            records.append(RejectRecord(target.row, error.reason, error.detail))
            continue
        if isinstance(target.drawing, MaskFile):
            drawn[target.drawing] = mask
        samples.append(SampleRecord(target.sample_id, scene.image_id, target.category, questions, target.answers, mask))
    if samples:
        records.append(ImageRecord(scene.image_id, name, width, height, data))
    return [*records, *samples]
