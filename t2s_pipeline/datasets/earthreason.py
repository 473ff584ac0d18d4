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

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import bounded_json
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.layout import IMAGE_ENDINGS, SPLITS, as_text, composed, is_clutter, is_text, split_of
from t2s_pipeline.datasets.placing import on_grid_of
from t2s_pipeline.datasets.records import Record, RejectRecord, image_record, note_records, sample_record
from t2s_pipeline.datasets.text_files import text_of
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes
from t2s_pipeline.vision.labels import read_label
from t2s_pipeline.vision.pictures import read_picture
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, PixelRules

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
    """The file, or the folder of an unknown split, that does not belong to this layout."""
    fault: str = ""
    """What is wrong with it."""


@dataclass(frozen=True)
class EarthReason:
    """The reader. ``sample_id`` and ``image_id`` are the stem, in composed Unicode; a sample has no category."""

    rules: PixelRules = AS_FILES_SAY

    def splits(self, root: Path) -> list[str]:
        """The splits that have a folder; ``validation`` is one of val."""
        folders = _split_folders(root)
        return [split for split in SPLITS if split in folders]

    def sources(self, root: Path, split: str) -> list[Source]:
        """One source per stem, sorted, after the files that do not belong to this layout.

        Raises:
            InputError: if one of the three folders is missing or holds no image, or two folders are one split.
        """
        stems: dict[str, dict[str, list[str]]] = {}
        folders = _split_folders(root)
        names = folders.get(split, [split])
        if len(names) > 1:
            raise InputError(f"{root} holds {' and '.join(names)}, which are one split: leave one of them.")
        foreign = _unknown_splits(root, folders) if split == next(iter(self.splits(root)), split) else []
        for folder in FOLDERS:
            for name, is_file in _listing(root, names[0], folder):
                stem, ending = os.path.splitext(composed(name))
                name_below = f"{names[0]}/{folder}/{name}"
                if ending.lower() in ENDINGS[folder] and is_file and is_text(name):
                    stems.setdefault(stem, {}).setdefault(folder, []).append(name_below)
                else:
                    foreign.append(Source("", foreign=name_below, fault="not a file of this layout"))
        if not any("images" in files for files in stems.values()):
            raise InputError(f"{root / names[0] / 'images'} holds no jpg, jpeg, png or tif image.")
        return foreign + [
            Source(stem, tuple(files.get("images", ())), tuple(files.get("labels", ())), tuple(files.get("QAs", ())))
            for stem, files in sorted(stems.items())
        ]

    def files(self, root: Path, split: str) -> list[str]:
        """Every file of the sources, as sorted names below the root. Raises as ``sources``."""
        sources = self.sources(root, split)
        foreign = [source.foreign for source in sources if source.foreign]
        known = (name for source in sources for name in (*source.images, *source.labels, *source.qas))
        return sorted([*foreign, *known])

    def read(self, root: Path, source: Source) -> list[Record]:
        """The image, its sample, rejects and notes."""
        if source.foreign is not None:
            reason = "unknown_split" if source.foreign.endswith("/") else "unsupported_file"
            return [_reject(source.foreign, reason, source.fault)]
        spare = [
            _reject(name, "duplicate_stem", f"{os.path.basename(files[0])} came first")
            for files in (source.images, source.labels, source.qas)
            for name in files[1:]
        ]
        return spare + _sample(root, source, self.rules)


EARTHREASON = Benchmark(
    name="earthreason",
    reader=EarthReason(),
    layout="train, val or test, each with images/, labels/ and QAs/",
    samples={"train": 2371, "val": 1135, "test": 1928},
    empty_targets={"train": 60, "val": 20, "test": 39},
)
"""The counts: one text gives 2,731 samples for train; 5,434 in all less 1,135 and 1,928 is 2,371, which other sources
state too. Empty targets are given as 60, 20 and 39; another source gives 200 in all."""


def _split_folders(root: Path) -> dict[str, list[str]]:
    """The folders below the root, by the split that they stand for; other folders stand for themselves."""
    try:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not is_clutter(entry.name))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(split_of(name) or name, []).append(name)
    return folders


def _unknown_splits(root: Path, folders: dict[str, list[str]]) -> list[Source]:
    """Folders that look like a split and are none."""
    names = [name for key, same in folders.items() if key not in SPLITS for name in same]
    return [
        Source("", foreign=f"{name}/", fault=f"it holds {FOLDERS[0]}/ and is not one of {', '.join(SPLITS)}")
        for name in names
        if (root / name / FOLDERS[0]).is_dir() and (root / name / FOLDERS[2]).is_dir()
    ]


def _listing(root: Path, split: str, folder: str) -> list[tuple[str, bool]]:
    """The names of the folder's entries, sorted, without clutter, and whether each is a file or a link to one."""
    path = root / split / folder
    try:
        with os.scandir(path) as entries:
            # The folder itself says what is a file: asking the system about each takes longer than all the rest.
            names = sorted((entry.name, _is_file(entry)) for entry in entries if not is_clutter(entry.name))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{path} is missing: a dataset in EarthReason's layout holds {{train,val,test}}/"
            "{images,labels,QAs}/ with the same file stem in all three."
        ) from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read: change its permissions.") from error
    return names


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _sample(root: Path, source: Source, rules: PixelRules) -> list[Record]:
    """The image and its sample, or every reason why they cannot be read."""
    if not source.images:
        orphans = (*source.labels, *source.qas)
        return [_reject(name, "missing_image", f"no image is called {source.stem}") for name in orphans]
    image_name = source.images[0]
    missing = [name for name, files in (("label", source.labels), ("qa", source.qas)) if not files]
    if missing:
        return [_reject(image_name, f"missing_{name}", f"no {name} file is called {source.stem}") for name in missing]
    image = _attempt(root, image_name, lambda data: (data, read_picture(data, rules.bands)))
    label = _attempt(root, source.labels[0], lambda data: read_label(data, rules))
    qa = _attempt(root, source.qas[0], parse_qa)
    if isinstance(image, RejectRecord) or isinstance(label, RejectRecord) or isinstance(qa, RejectRecord):
        return [fault for fault in (image, label, qa) if isinstance(fault, RejectRecord)]
    data, picture = image
    try:
        mask, notes = on_grid_of(picture, label, "label")
    except UnusableFileError as fault:
        return [_reject(source.labels[0], fault.reason, fault.detail)]
    blank = [
        RejectRecord(f"{source.qas[0]}#questions[{i}]", "blank_question", "no words in it")
        for i, question in enumerate(qa.questions)
        if not question.strip()
    ]
    questions, answers = qa.with_words()
    if not questions:
        return [*blank, _reject(source.qas[0], "no_questions", "the list of questions is empty")]
    return [
        *blank,
        *note_records(image_name, picture.notes),
        *note_records(source.labels[0], notes),
        image_record(source.stem, image_name, picture, data, root / image_name),
        sample_record(source.stem, source.stem, qa.category, questions, answers, mask, qa.contains),
    ]


@dataclass(frozen=True)
class Qa:
    """The content of a QAs file. ``category`` and ``contains`` are entries of the embedded scenes for studies only."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    category: str | None = None
    contains: tuple[str, ...] | None = None

    def with_words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The questions that have words, and the answers. As many answers as questions belong to them one by one."""
        with_words = [i for i, question in enumerate(self.questions) if question.strip()]
        are_parallel = len(self.answers) == len(self.questions)
        answers = tuple(self.answers[i] for i in with_words) if are_parallel else self.answers
        return tuple(self.questions[i] for i in with_words), answers


def parse_qa(data: bytes) -> Qa:
    """A QAs file: an object with ``questions`` and ``answer``, each a list of strings.

    Raises:
        UnusableFileError: reason ``invalid_json`` or ``invalid_qa``.
    """
    try:
        content = bounded_json(text_of(data))
    except ValueError as error:
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
    category, contains = content.get("category"), content.get("contains")
    named = isinstance(contains, list) and all(isinstance(name, str) and is_text(name) for name in contains)
    return Qa(
        questions,
        answers,
        category if isinstance(category, str) and is_text(category) else None,
        tuple(contains) if isinstance(contains, list) and named else None,
    )


def _attempt(root: Path, name: str, decode: Callable[[bytes], T]) -> T | RejectRecord:
    try:
        return decode(file_bytes(root / name))
    except UnusableFileError as error:
        return _reject(name, error.reason, error.detail)


def _reject(name: str, reason: str, detail: str) -> RejectRecord:
    return RejectRecord(as_text(name), reason, detail)
