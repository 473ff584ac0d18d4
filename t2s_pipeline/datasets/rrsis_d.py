"""RRSIS-D: referring segmentation over 20 classes of objects, 800² images.

On disk: ``images/rrsisd/JPEGImages/*.jpg``, ``rrsisd/instances.json`` (COCO: images, annotations, categories) and
``rrsisd/refs(unc).p``, a pickle of a list of references: ref_id, ann_id, image_id, category_id, split and
sentences [{raw, sent, tokens, sent_id}]. Masks are run lengths or polygons; several parts are united.

A reference is a sample: its id is ``ref_id``, its questions are all its sentences as they were written (``raw``), in
their order. That the field evaluates the first one is a selection over them (``selections``), not a loss here.
"""

from pathlib import Path
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.coco import CocoFile, Segmentation, read_coco, stated_size
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, is_text, names_below, require_folder
from t2s_pipeline.datasets.records import Record, RejectRecord
from t2s_pipeline.datasets.restricted_pickle import read_pickle
from t2s_pipeline.datasets.scene import Row, Scene, read_scene, scenes_of
from t2s_pipeline.vision.image_files import UnusableFileError

IMAGES = Path("images", "rrsisd", "JPEGImages")
INSTANCES = Path("rrsisd", "instances.json")
REFS = Path("rrsisd", "refs(unc).p")


class RrsisD:
    """The reader."""

    def splits(self, root: Path) -> list[str]:
        """All of them: which are there, only the references say."""
        return list(SPLITS) if (root / REFS).is_file() and (root / INSTANCES).is_file() else []

    def sources(self, root: Path, split: str) -> list[Scene]:
        images = NamedFiles(require_folder(root / IMAGES, f"RRSIS-D has {IMAGES}/, {INSTANCES} and {REFS}."))
        references = read_pickle(root / REFS)
        if not isinstance(references, list):
            raise InputError(f"{root / REFS} holds a {type(references).__name__}: a list of references was expected.")
        instances = read_coco(root / INSTANCES)
        # What belongs to no split is told once, with the first.
        strays = instances.strays if split == SPLITS[0] else []
        rejects = [RejectRecord(place, "invalid_entry", found) for place, found in strays]
        rows: list[Row] = []
        for place, reference in enumerate(references):
            where = f"{REFS.name}[{place}]"
            try:
                if _split(reference) == split:
                    rows.append(_row(where, reference, instances))
            except UnusableFileError as error:
                if split in (SPLITS[0], _stated(reference)):
                    rejects.append(RejectRecord(where, error.reason, error.detail))
        scenes = scenes_of(rows, images, None)
        return [Scene(rejects=tuple(rejects)), *scenes] if rejects else scenes

    def files(self, root: Path, split: str) -> list[str]:
        pictures = (path for scene in self.sources(root, split) for path in scene.files)
        return names_below(root, [root / INSTANCES, root / REFS, *pictures])

    def read(self, root: Path, source: Scene) -> list[Record]:
        return read_scene(root, source)


def _stated(reference: Any) -> Any:
    return reference.get("split") if isinstance(reference, dict) else None


def _split(reference: Any) -> str:
    stated = _stated(reference)
    if stated not in SPLITS:
        raise UnusableFileError("invalid_reference", f"its split is {stated!r:.40}, not one of {', '.join(SPLITS)}")
    return stated


def _row(where: str, reference: dict[str, Any], instances: CocoFile) -> Row:
    """Raises UnusableFileError if the reference leads to no annotation or image, or has no sentence."""
    ids = {key: reference.get(key) for key in ("ref_id", "ann_id", "image_id")}
    for key, value in ids.items():
        if not isinstance(value, int | str):
            raise UnusableFileError("invalid_reference", f"{key} is a {type(value).__name__}")
    annotation, image = instances.annotations.get(ids["ann_id"]), instances.images.get(ids["image_id"])
    if annotation is None:
        raise UnusableFileError("missing_annotation", f"there is no annotation {ids['ann_id']}")
    if image is None or not isinstance(image.get("file_name"), str):
        raise UnusableFileError("missing_image", f"no image with the id {ids['image_id']} has a file name")
    category = instances.category(annotation.get("category_id", reference.get("category_id")))
    drawing = Segmentation((annotation.get("segmentation"),), *stated_size(image))
    return Row(
        where,
        image["file_name"],
        _sentences(reference.get("sentences")),
        drawing,
        sample_id=str(ids["ref_id"]),
        category=category,
    )


def _sentences(sentences: Any) -> tuple[str, ...]:
    """As written: ``raw``, or where it is missing ``sent``, its form in lower case without punctuation."""
    if not isinstance(sentences, list):
        raise UnusableFileError("invalid_reference", "sentences is no list")
    found = []
    for sentence in sentences:
        text = (sentence.get("raw") or sentence.get("sent")) if isinstance(sentence, dict) else None
        if text is not None and not (isinstance(text, str) and is_text(text)):
            raise UnusableFileError("invalid_reference", "a sentence is no text")
        found.append((text or "").strip())
    return tuple(found)
