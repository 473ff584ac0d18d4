"""Your own COCO file: run lengths or polygons, with questions or without.

An annotation that carries text (``questions``, ``question``, ``caption`` or ``sentences``) is a sample. The other
annotations are joined: one sample per image and category. Its question is the category's name, and its mask is the
union of their masks. If the mask of one of them cannot be used, the whole sample is set aside: every annotation of it
becomes a reject, because its union would lack an object.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t2s_pipeline.datasets.annotated_images import Index, IndexReader
from t2s_pipeline.datasets.coco import CocoFile, CocoMask, Entry, coco_id, read_coco, stated_size
from t2s_pipeline.datasets.index_rows import Row, UnusableRowsError
from t2s_pipeline.datasets.layout import NamedFiles, is_text, require_folder, stem_of
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, PixelRules

TEXTS = ("questions", "question", "caption", "sentences")


@dataclass(frozen=True, eq=False)
class JoinedMask:
    """The union of the masks of several annotations, by row of the file."""

    parts: tuple[tuple[str, CocoMask], ...]

    def mask(self, width: int, height: int) -> Rle:
        """The union, for an image of that size in pixels.

        Raises:
            UnusableRowsError: if the mask of an annotation cannot be used. The union would lack an object.
        """
        union = np.zeros((height, width), dtype=bool)
        faults: dict[str, UnusableFileError] = {}
        for row, part in self.parts:
            try:
                union |= masks.decode(part.mask(width, height))
            except UnusableFileError as error:
                faults[row] = error
        if faults:
            raise UnusableRowsError(faults)
        return masks.encode(union)


@dataclass(frozen=True)
class CustomCoco(IndexReader):
    """The reader of one file, which is one split; both paths are absolute."""

    images: Path
    annotations: Path
    split: str
    rules: PixelRules = AS_FILES_SAY

    def splits(self, root: Path) -> list[str]:
        """The one split, if the file is there."""
        return [self.split] if self.annotations.is_file() else []

    def index(self, root: Path, split: str) -> Index:
        """The annotations. Raises InputError if the folder or the file is missing, or it is no COCO file."""
        images = NamedFiles(require_folder(self.images, "give the folder of the images with --images."))
        content = read_coco(self.annotations)
        return Index([self.annotations], _rows(self.annotations.name, content), images)


def _rows(file: str, content: CocoFile) -> Iterator[Row | RejectRecord]:
    for place, fault in content.strays:
        yield RejectRecord(place, "invalid_entry", fault)
    joined: dict[tuple[str, str], list[tuple[str, Entry]]] = {}
    files: dict[str, dict[str, Any]] = {}
    annotated: set[str | None] = set()
    times = Counter(entry.id for entry in content.annotations.in_order)
    for entry in content.annotations.in_order:
        # No text refers to an annotation by its id. An id that is missing or repeats does no harm.
        place = f"{file}#annotation={entry.id}" if entry.id and times[entry.id] == 1 else entry.place
        annotation = entry.content
        annotated.add(coco_id(annotation.get("image_id")))
        try:
            image = _image_of(annotation, content)
            texts = _texts(annotation)
            category = content.category(annotation.get("category_id"))
        except UnusableFileError as error:
            yield RejectRecord(place, error.reason, error.detail)
            continue
        if texts:
            mask = CocoMask((annotation.get("segmentation"),), *stated_size(image))
            yield Row((place,), image["file_name"], texts, mask, sample_id=entry.id, category=category)
        elif category is None:
            yield RejectRecord(place, "blank_question", f"none of {', '.join(TEXTS)}, and no category with a name")
        else:
            joined.setdefault((image["file_name"], category), []).append((place, entry))
            files[image["file_name"]] = image
    for (file_name, category), entries in joined.items():
        size = stated_size(files[file_name])
        parts = tuple((place, CocoMask((entry.content.get("segmentation"),), *size)) for place, entry in entries)
        yield Row(
            tuple(place for place, _ in entries),
            file_name,
            (category,),
            JoinedMask(parts),
            sample_id=f"{stem_of(Path(file_name).name)}-{category}",
            category=category,
        )
    for entry in content.images.in_order:
        if entry.id is not None and entry.id not in annotated:
            yield RejectRecord(f"{file}#image={entry.id}", "no_annotation", "no annotation belongs to this image")


def _image_of(annotation: dict[str, Any], content: CocoFile) -> dict[str, Any]:
    image_id = annotation.get("image_id")
    image = content.images.get(image_id)
    if image is None or not isinstance(image.get("file_name"), str) or not is_text(image["file_name"]):
        raise UnusableFileError("missing_image", f"no image with the id {image_id!r:.40} has a file name")
    return image


def _texts(annotation: dict[str, Any]) -> tuple[str, ...]:
    """The questions of an annotation, from the first of ``TEXTS`` that holds some."""
    for key in TEXTS:
        content = annotation.get(key)
        values = content if isinstance(content, list) else [content]
        texts = [(value.get("raw") or value.get("sent")) if isinstance(value, dict) else value for value in values]
        if any(text is not None and not (isinstance(text, str) and is_text(text)) for text in texts):
            raise UnusableFileError("invalid_row", f"{key} is neither text nor a list of texts")
        stripped = tuple(text.strip() for text in texts if text is not None)
        if stripped:
            return stripped
    return ()
