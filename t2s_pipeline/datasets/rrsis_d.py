"""RRSIS-D: referring segmentation over 20 classes of objects, 800² images.

On disk: ``images/rrsisd/JPEGImages/*.jpg``, ``rrsisd/instances.json`` (COCO: images, annotations, categories) and
``rrsisd/refs(unc).p``, a pickle of a list of references: ref_id, ann_id, image_id, category_id, split and
sentences [{raw, sent, tokens, sent_id}]. Masks are run lengths or polygons; the mask of several parts is their union.

A reference is a sample. Its id is ``ref_id``, its questions are all its sentences as they were written (``raw``), in
their order. The field evaluates the first sentence; that is a question choice, and no sentence is lost here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.annotated_images import Index, IndexReader
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.coco import CocoFile, CocoMask, coco_id, read_coco, stated_size
from t2s_pipeline.datasets.index_rows import Row
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, is_text, require_folder, split_of
from t2s_pipeline.datasets.question_choice import FIRST
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.datasets.restricted_pickle import read_pickle
from t2s_pipeline.vision.image_files import UnusableFileError

IMAGES = Path("images", "rrsisd", "JPEGImages")
INSTANCES = Path("rrsisd", "instances.json")
REFS = Path("rrsisd", "refs(unc).p")


class RrsisD(IndexReader):
    """The reader."""

    def splits(self, root: Path) -> list[str]:
        """All splits, if the files are there: which splits exist is written in the references only."""
        return list(SPLITS) if (root / REFS).is_file() and (root / INSTANCES).is_file() else []

    def index(self, root: Path, split: str) -> Index:
        """The references of the split. Raises InputError if a file is missing or has another content."""
        images = NamedFiles(require_folder(root / IMAGES, f"RRSIS-D has {IMAGES}/, {INSTANCES} and {REFS}."))
        references = read_pickle(root / REFS)
        if not isinstance(references, list):
            raise InputError(f"{root / REFS} holds a {type(references).__name__}: a list of references was expected.")
        instances = read_coco(root / INSTANCES)
        return Index([root / INSTANCES, root / REFS], _rows(references, instances, split), images)


RRSIS_D = Benchmark(
    name="rrsis-d",
    reader=RrsisD(),
    layout="images/rrsisd/JPEGImages/, rrsisd/instances.json and rrsisd/refs(unc).p",
    samples={"train": 12_181, "val": 1740, "test": 3481},
    published_rule=FIRST,
    is_referring=True,
)


def _rows(references: list[Any], instances: CocoFile, split: str) -> Iterator[Row | RejectRecord]:
    # What belongs to no split is reported once, with the first split.
    if split == SPLITS[0]:
        for place, fault in (*instances.strays, *instances.annotations.without_use()):
            yield RejectRecord(place, "invalid_entry", fault)
    for number, reference in enumerate(references):
        place = f"{REFS.name}[{number}]"
        stated = reference.get("split") if isinstance(reference, dict) else None
        own_split = split_of(stated) if isinstance(stated, str) else None
        if (own_split or SPLITS[0]) != split:
            continue
        if own_split is None:
            detail = f"its split is {stated!r:.40}, not one of {', '.join(SPLITS)}"
            yield RejectRecord(place, "invalid_reference", detail)
            continue
        try:
            yield _row(place, reference, instances)
        except UnusableFileError as error:
            yield RejectRecord(place, error.reason, error.detail)


def _row(place: str, reference: dict[str, Any], instances: CocoFile) -> Row:
    """The reference as a row.

    Raises:
        UnusableFileError: if it leads to no annotation or image, or has no list of sentences.
    """
    ref_id, ann_id, image_id = (_id(reference, key) for key in ("ref_id", "ann_id", "image_id"))
    annotation, image = instances.annotations.get(ann_id), instances.images.get(image_id)
    if annotation is None:
        raise UnusableFileError("missing_annotation", f"there is no annotation {ann_id}")
    if image is None or not isinstance(image.get("file_name"), str):
        raise UnusableFileError("missing_image", f"no image with the id {image_id} has a file name")
    category = instances.category(annotation.get("category_id", reference.get("category_id")))
    mask = CocoMask((annotation.get("segmentation"),), *stated_size(image))
    return Row(
        (place,),
        image["file_name"],
        _sentences(reference.get("sentences")),
        mask,
        sample_id=ref_id,
        category=category,
    )


def _id(reference: dict[str, Any], key: str) -> str:
    value = coco_id(reference.get(key))
    if value is None:
        raise UnusableFileError("invalid_reference", f"{key} is a {type(reference.get(key)).__name__}")
    return value


def _sentences(sentences: Any) -> tuple[str, ...]:
    """As written: ``raw``, or where it is missing ``sent``, its form in lower case without punctuation."""
    if not isinstance(sentences, list):
        raise UnusableFileError("invalid_reference", "sentences is not a list")
    texts = []
    for sentence in sentences:
        text = (sentence.get("raw") or sentence.get("sent")) if isinstance(sentence, dict) else None
        if text is not None and not (isinstance(text, str) and is_text(text)):
            raise UnusableFileError("invalid_reference", "a sentence is not text")
        texts.append((text or "").strip())
    return tuple(texts)
