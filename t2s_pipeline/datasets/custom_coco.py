"""Your own COCO file: run lengths or polygons, with questions or without.

An annotation that carries text (``questions``, ``question``, ``caption`` or ``sentences``) is a sample. The other
annotations are joined: one sample per image and category. Its question is the category's name, and its mask is the
union of their masks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2s_pipeline.datasets.annotated_images import Index, IndexReader, Row
from t2s_pipeline.datasets.coco import CocoFile, CocoMask, read_coco, stated_size
from t2s_pipeline.datasets.layout import NamedFiles, is_text, require_folder
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.vision.image_files import UnusableFileError

TEXTS = ("questions", "question", "caption", "sentences")


@dataclass(frozen=True)
class CustomCoco(IndexReader):
    """The reader of one file, which is one split; both paths are absolute."""

    images: Path
    annotations: Path
    split: str

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
    joined: dict[tuple[Any, str], list[dict[str, Any]]] = {}
    annotated: set[Any] = set()
    for key, annotation in content.annotations.items():
        place = f"{file}#annotation={key}"
        try:
            image = _image_of(annotation, content)
            annotated.add(image["id"])
            texts = _texts(annotation)
        except UnusableFileError as error:
            yield RejectRecord(place, error.reason, error.detail)
            continue
        category = content.category(annotation.get("category_id"))
        if texts:
            mask = CocoMask((annotation.get("segmentation"),), *stated_size(image))
            yield Row(place, image["file_name"], texts, mask, sample_id=str(key), category=category)
        elif category is None:
            yield RejectRecord(place, "blank_question", f"none of {', '.join(TEXTS)}, and no category with a name")
        else:
            joined.setdefault((image["id"], category), []).append(annotation)
    for (image_id, category), annotations in joined.items():
        image = content.images[image_id]
        mask = CocoMask(tuple(annotation.get("segmentation") for annotation in annotations), *stated_size(image))
        place = f"{file}#image={image_id},category={category}"
        sample_id = f"{Path(image['file_name']).stem}-{category}"
        yield Row(place, image["file_name"], (category,), mask, sample_id=sample_id, category=category)
    for image_id in content.images:
        if image_id not in annotated:
            yield RejectRecord(f"{file}#image={image_id}", "no_annotation", "no annotation belongs to this image")


def _image_of(annotation: dict[str, Any], content: CocoFile) -> dict[str, Any]:
    image_id = annotation.get("image_id")
    image = content.images.get(image_id) if isinstance(image_id, int | str) else None
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
