"""Your own COCO file: run lengths or polygons, with questions or without.

An annotation that carries text (``questions``, ``question``, ``caption`` or ``sentences``) is a sample of its own. The
others are gathered: one sample an image and category, asked for by the category's name, its mask the union of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2s_pipeline.datasets.coco import CocoFile, Segmentation, read_coco, stated_size
from t2s_pipeline.datasets.layout import NamedFiles, is_text, names_below, require_folder
from t2s_pipeline.datasets.records import Record, RejectRecord
from t2s_pipeline.datasets.scene import Row, Scene, read_scene, scenes_of
from t2s_pipeline.vision.image_files import UnusableFileError

TEXTS = ("questions", "question", "caption", "sentences")


@dataclass(frozen=True)
class CustomCoco:
    """The reader of one file, which is one split; both paths are absolute."""

    images: Path
    annotations: Path
    split: str

    def splits(self, root: Path) -> list[str]:
        return [self.split] if self.annotations.is_file() else []

    def sources(self, root: Path, split: str) -> list[Scene]:
        folder = NamedFiles(require_folder(self.images, "give the folder of the images with --images."))
        content = read_coco(self.annotations)
        rejects = [RejectRecord(place, "invalid_entry", found) for place, found in content.strays]
        rows: list[Row] = []
        for entry in _rows(self.annotations.name, content):
            (rejects if isinstance(entry, RejectRecord) else rows).append(entry)
        scenes = scenes_of(rows, folder, None)
        return [Scene(rejects=tuple(rejects)), *scenes] if rejects else scenes

    def files(self, root: Path, split: str) -> list[str]:
        pictures = (path for scene in self.sources(root, split) for path in scene.files)
        return names_below(root, [self.annotations, *pictures])

    def read(self, root: Path, source: Scene) -> list[Record]:
        return read_scene(root, source)


def _rows(file: str, content: CocoFile) -> Iterator[Row | RejectRecord]:
    gathered: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    annotated: set[Any] = set()
    for key, annotation in content.annotations.items():
        where = f"{file}#annotation={key}"
        try:
            image = _image_of(annotation, content)
            annotated.add(image["id"])
            texts = _texts(annotation)
        except UnusableFileError as error:
            yield RejectRecord(where, error.reason, error.detail)
            continue
        category = content.category(annotation.get("category_id"))
        if texts:
            drawing = Segmentation((annotation.get("segmentation"),), *stated_size(image))
            yield Row(where, image["file_name"], texts, drawing, sample_id=str(key), category=category)
        elif category is None:
            yield RejectRecord(where, "blank_question", f"none of {', '.join(TEXTS)}, and no category with a name")
        else:
            gathered.setdefault((image["id"], category), []).append(annotation)
    for (image_id, category), annotations in gathered.items():
        image = content.images[image_id]
        drawing = Segmentation(tuple(each.get("segmentation") for each in annotations), *stated_size(image))
        where = f"{file}#image={image_id},category={category}"
        sample_id = f"{Path(image['file_name']).stem}-{category}"
        yield Row(where, image["file_name"], (category,), drawing, sample_id=sample_id, category=category)
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
    """The annotation's own questions, from the first key that holds some."""
    for key in TEXTS:
        value = annotation.get(key)
        values = value if isinstance(value, list) else [value]
        texts = [(each.get("raw") or each.get("sent")) if isinstance(each, dict) else each for each in values]
        if any(text is not None and not (isinstance(text, str) and is_text(text)) for text in texts):
            raise UnusableFileError("invalid_row", f"{key} is no text and no list of texts")
        found = tuple(text.strip() for text in texts if text is not None)
        if found:
            return found
    return ()
