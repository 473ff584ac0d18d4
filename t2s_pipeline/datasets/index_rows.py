"""A row of an index, and where the mask of its target comes from. The files are still names, or not yet read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from t2s_pipeline.datasets.placing import on_grid_of
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes
from t2s_pipeline.vision.labels import read_label
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.pictures import Picture
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, Note, PixelRules


class MaskSource(Protocol):
    """Where the mask of a target comes from."""

    def mask(self, width: int, height: int) -> Rle:
        """The mask for an image of that size in pixels.

        Raises:
            UnusableFileError: if there is no usable mask of that size.
        """
        ...


class UnusableRowsError(UnusableFileError):
    """A target of several rows of which some cannot be used.

    Attributes:
        faults: row → what is wrong with it.
    """

    def __init__(self, faults: Mapping[str, UnusableFileError]) -> None:
        super().__init__("incomplete_target", f"{', '.join(faults)} of the same target cannot be used")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask as a picture; with ``first_channel``, only the first channel counts."""

    path: Path
    first_channel: bool = False
    rules: PixelRules = AS_FILES_SAY

    def mask(self, width: int, height: int) -> Rle:
        """The decoded file. Raises as ``MaskSource.mask``."""
        rle, _ = self.beside(Picture(width, height, b""))
        return rle

    def beside(self, picture: Picture) -> tuple[Rle, list[Note]]:
        """The decoded file for that picture, and what is special about it. Raises as ``MaskSource.mask``."""
        try:
            label = read_label(file_bytes(self.path), self.rules, self.first_channel)
        except UnusableFileError as error:
            raise UnusableFileError(error.reason, f"{self.path.name}: {error.detail}") from error
        mask, notes = on_grid_of(picture, label, f"mask {self.path.name}")
        return masks.encode(mask), notes


@dataclass(frozen=True, slots=True)
class NoTarget:
    """The index says that the image holds no target."""

    def mask(self, width: int, height: int) -> Rle:
        """An empty mask of that size in pixels."""
        return masks.encode(np.zeros((height, width), dtype=bool))


@dataclass(frozen=True, slots=True)
class Row:
    """A target as the index states it: its files are still names."""

    rows: tuple[str, ...]
    """The places in the index that make the target, for rejects: file and line, or file and key."""
    image: str
    questions: tuple[str, ...]
    mask_source: MaskSource | None = None
    mask: str | None = None
    """The mask's file name, where there is no ``mask_source``."""
    sample_id: str | None = None
    """None: the stem of the image."""
    answers: tuple[str, ...] = ()
    """If there are as many as questions, each belongs to the question at its place."""
    category: str | None = None
    question_rows: tuple[str, ...] = ()
    """The place in the index of each question; empty: the first of ``rows`` for all of them."""

    def rejects(self, fault: UnusableFileError) -> list[RejectRecord]:
        """A reject for each row of the target."""
        faults = fault.faults if isinstance(fault, UnusableRowsError) else {}
        reasons = [faults.get(row, fault) for row in self.rows]
        return [RejectRecord(row, of.reason, of.detail) for row, of in zip(self.rows, reasons, strict=True)]
