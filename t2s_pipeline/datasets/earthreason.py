"""EarthReason: reasoning segmentation of satellite images with implicit queries (the paper's main benchmark).

On disk: ``{train,val,test}/{images,labels,QAs}/``, the three files of a sample sharing a stem.

* ``images/<id>.jpg|jpeg|png|tif|tiff``, 123² to 7617² pixels;
* ``labels/<id>.png`` (or tif), of the image's size. A pixel that is not zero belongs to the target. A label that is
  zero everywhere is an empty target: the right answer is that there is nothing;
* ``QAs/<id>.json``: ``{"questions": [str, …], "answer": [str, …]}``, about six questions per image in train;
  ``answer`` is empty for an empty target.

The embedded scenes are written in this layout, and a folder of your own is read in it. The authors' loader takes one
question at random from an unsorted listing, and replaces what it cannot load. This reader sorts, keeps every question,
and sets aside what cannot be used, with the reason.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.layout import IMAGE_ENDINGS, SPLITS, as_text, is_clutter, is_text
from t2s_pipeline.datasets.records import ImageRecord, Record, RejectRecord, SampleRecord
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError, decode_label, displayed_size, file_bytes

FOLDERS = ("images", "labels", "QAs")
ENDINGS = {
    "images": IMAGE_ENDINGS,
    "labels": frozenset({".png", ".tif", ".tiff"}),
    "QAs": frozenset({".json"}),
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one stem; or, with an empty stem, one file that does not belong to this layout.

    They are names below the root, not paths, because a split has tens of thousands of them.
    """

    stem: str
    images: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    qas: tuple[str, ...] = ()
    foreign: str | None = None
    """The file that does not belong to this layout."""


class EarthReason:
    """The reader. ``sample_id`` and ``image_id`` are the stem; a sample has no category."""

    def splits(self, root: Path) -> list[str]:
        """The splits that have a folder."""
        return [split for split in SPLITS if (root / split).is_dir()]

    def sources(self, root: Path, split: str) -> list[Source]:
        """One source per stem, sorted, after the files that do not belong to this layout.

        Raises:
            InputError: if one of the three folders is missing or holds no image.
        """
        stems: dict[str, dict[str, list[str]]] = {}
        foreign: list[Source] = []
        for folder in FOLDERS:
            for name in _listing(root, split, folder):
                stem, ending = os.path.splitext(name)
                name_below = f"{split}/{folder}/{name}"
                if ending.lower() in ENDINGS[folder] and os.path.isfile(root / name_below) and is_text(name):
                    stems.setdefault(stem, {}).setdefault(folder, []).append(name_below)
                else:
                    foreign.append(Source("", foreign=name_below))
        if not any("images" in files for files in stems.values()):
            raise InputError(f"{root / split / 'images'} holds no jpg, jpeg, png or tif image.")
        return foreign + [
            Source(stem, tuple(files.get("images", ())), tuple(files.get("labels", ())), tuple(files.get("QAs", ())))
            for stem, files in sorted(stems.items())
        ]

    def files(self, root: Path, split: str) -> list[str]:
        """Every file of the sources, as sorted names below the root. Raises as ``sources``."""
        sources = self.sources(root, split)
        foreign = [source.foreign for source in sources if source.foreign and (root / source.foreign).is_file()]
        known = (name for source in sources for name in (*source.images, *source.labels, *source.qas))
        return sorted([*foreign, *known])

    def read(self, root: Path, source: Source) -> list[Record]:
        """The image, its sample and its rejects."""
        if source.foreign is not None:
            return [_reject(source.foreign, "unsupported_file", "not a file of this layout")]
        spare = [
            _reject(name, "duplicate_stem", f"{os.path.basename(files[0])} came first")
            for files in (source.images, source.labels, source.qas)
            for name in files[1:]
        ]
        return spare + _sample(root, source)


EARTHREASON = Benchmark(
    name="earthreason",
    reader=EarthReason(),
    layout="train, val or test, each with images/, labels/ and QAs/",
    samples={"train": 2371, "val": 1135, "test": 1928},
    empty_targets={"train": 60, "val": 20, "test": 39},
)
"""The counts: one text gives 2,731 samples for train; 5,434 in all less 1,135 and 1,928 is 2,371, which other sources
state too. Empty targets are given as 60, 20 and 39; another source gives 200 in all."""


def _listing(root: Path, split: str, folder: str) -> list[str]:
    """The names of the folder's entries, sorted, without clutter."""
    path = root / split / folder
    try:
        names = sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{path} is missing: a dataset in EarthReason's layout holds {{train,val,test}}/"
            "{images,labels,QAs}/ with the same file stem in all three."
        ) from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read: change its permissions.") from error
    return [name for name in names if not is_clutter(name)]


def _sample(root: Path, source: Source) -> list[Record]:
    """The image and its sample, or every reason why they cannot be read."""
    if not source.images:
        orphans = (*source.labels, *source.qas)
        return [_reject(name, "missing_image", f"no image is called {source.stem}") for name in orphans]
    image_name = source.images[0]
    missing = [name for name, files in (("label", source.labels), ("qa", source.qas)) if not files]
    if missing:
        return [_reject(image_name, f"missing_{name}", f"no {name} file is called {source.stem}") for name in missing]
    image = _attempt(root, image_name, lambda data: (data, displayed_size(data)))
    mask = _attempt(root, source.labels[0], decode_label)
    qa = _attempt(root, source.qas[0], parse_qa)
    if isinstance(image, RejectRecord) or isinstance(mask, RejectRecord) or isinstance(qa, RejectRecord):
        return [fault for fault in (image, mask, qa) if isinstance(fault, RejectRecord)]
    data, (width, height) = image
    if mask.shape != (height, width):
        detail = f"label is {mask.shape[1]}×{mask.shape[0]}, image {width}×{height}"
        return [_reject(source.labels[0], "size_mismatch", detail)]
    blank = [
        RejectRecord(f"{source.qas[0]}#questions[{i}]", "blank_question", "no words in it")
        for i, question in enumerate(qa.questions)
        if not question.strip()
    ]
    questions = tuple(question for question in qa.questions if question.strip())
    if not questions:
        return [*blank, _reject(source.qas[0], "no_questions", "the list of questions is empty")]
    return [
        *blank,
        ImageRecord(source.stem, image_name, width, height, data),
        SampleRecord(source.stem, source.stem, None, questions, qa.answers, masks.encode(mask)),
    ]


@dataclass(frozen=True)
class Qa:
    """The content of a QAs file."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]


def parse_qa(data: bytes) -> Qa:
    """A QAs file: an object with ``questions`` and ``answer``, each a list of strings.

    Raises:
        UnusableFileError: reason ``invalid_json`` or ``invalid_qa``.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnusableFileError("invalid_json", f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise UnusableFileError("invalid_qa", f"a {type(content).__name__} where an object was expected")
    lists = []
    for key in ("questions", "answer"):
        values = content.get(key)
        if not isinstance(values, list) or not all(isinstance(v, str) and is_text(v) for v in values):
            raise UnusableFileError("invalid_qa", f"{key!r} is not a list of strings")
        lists.append(tuple(values))
    questions, answers = lists
    return Qa(questions, answers)


def _attempt(root: Path, name: str, decode: Callable[[bytes], T]) -> T | RejectRecord:
    try:
        return decode(file_bytes(root / name))
    except UnusableFileError as error:
        return _reject(name, error.reason, error.detail)


def _reject(name: str, reason: str, detail: str) -> RejectRecord:
    return RejectRecord(as_text(name), reason, detail)
