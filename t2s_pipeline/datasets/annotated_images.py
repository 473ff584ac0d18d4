"""Layouts in which an index names images and masks: what their readers share.

A target that cannot be used becomes a reject for each of its rows. So every row of the index becomes a question of a
sample or a reject, whatever is wrong with the files that it names.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.datasets.index_rows import MaskFile, MaskSource, Row
from t2s_pipeline.datasets.layout import NamedFiles, composed, names_below, shown
from t2s_pipeline.datasets.records import Record, RejectRecord, image_record, note_records, sample_record
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.pictures import Picture, read_picture
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, Note, PixelRules


@dataclass(frozen=True, slots=True)
class Target:
    """A target whose files exist: its row of the index, its id, and where its mask comes from."""

    row: Row
    sample_id: str
    mask_source: MaskSource


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

    rules: PixelRules = AS_FILES_SAY

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
        return annotated_images(self.index(root, split), self.rules)

    def files(self, root: Path, split: str) -> list[str]:
        """The index files, images and mask files, as sorted paths below the root."""
        index = self.index(root, split)
        pictures = (path for image in annotated_images(index, self.rules) for path in image.files)
        return names_below(root, [*index.files, *pictures])

    def read(self, root: Path, source: AnnotatedImage) -> list[Record]:
        """The image, its samples, rejects and notes."""
        return read_annotated_image(root, source, self.rules.bands)


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


def annotated_images(index: Index, rules: PixelRules = AS_FILES_SAY) -> list[AnnotatedImage]:
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
            mask_source = row.mask_source or _mask_file(index, row, rules)
        except UnusableFileError as error:
            without_files += row.rejects(error)
            continue
        sample_id = sample_ids.unique(row.sample_id or composed(image.stem))
        targets.setdefault(image, []).append(Target(row, sample_id, mask_source))
    rejects = (*unreadable, *without_files)
    images = [
        AnnotatedImage(image_ids.unique(composed(path.stem)), path, tuple(group)) for path, group in targets.items()
    ]
    return [AnnotatedImage(rejects=rejects), *images] if rejects else images


def _mask_file(index: Index, row: Row, rules: PixelRules) -> MaskFile:
    if index.masks is None or row.mask is None:
        raise UnusableFileError("missing_mask", "the row names no mask file")
    return MaskFile(index.masks.find(row.mask, "mask"), index.first_channel, rules)


def read_annotated_image(root: Path, source: AnnotatedImage, bands: tuple[int, ...] = ()) -> list[Record]:
    """The image, its samples and notes, and rejects for each target that cannot be used.

    An image without a usable target is left out.

    Args:
        root: the folder below which names are shown.
        source: the image and its targets.
        bands: of the picture, as for ``read_picture``.
    """
    records: list[Record] = list(source.rejects)
    if source.image is None:
        return records
    name = shown(root, source.image)
    try:
        data = file_bytes(source.image)
        picture = read_picture(data, bands)
    except UnusableFileError as error:
        fault = UnusableFileError(error.reason, f"{name}: {error.detail}")
        return records + [reject for target in source.targets for reject in target.row.rejects(fault)]
    samples: list[Record] = []
    decoded: dict[MaskFile, Rle] = {}
    for target in source.targets:
        questions, answers, blank = _with_words(target.row)
        if not questions:
            records += blank
            continue
        try:
            mask, notes = _mask(target.mask_source, picture, decoded)
        except UnusableFileError as error:
            records += target.row.rejects(error)
            continue
        records += blank
        if isinstance(target.mask_source, MaskFile):
            records += note_records(shown(root, target.mask_source.path), notes)
        category = target.row.category
        samples.append(sample_record(target.sample_id, source.image_id, category, questions, answers, mask))
    if samples:
        records += note_records(name, picture.notes)
        records.append(image_record(source.image_id, name, picture, data, source.image))
    return [*records, *samples]


def _mask(source: MaskSource, picture: Picture, decoded: dict[MaskFile, Rle]) -> tuple[Rle, list[Note]]:
    """The mask, and what is special about its file. A file of several targets is decoded, and noted, once."""
    if not isinstance(source, MaskFile):
        return source.mask(picture.width, picture.height), []
    if source in decoded:
        return decoded[source], []
    decoded[source], notes = source.beside(picture)
    return decoded[source], notes


def _with_words(row: Row) -> tuple[tuple[str, ...], tuple[str, ...], list[RejectRecord]]:
    """The questions that have words, their answers, and a reject for each row that has questions without."""
    with_words = [place for place, question in enumerate(row.questions) if question.strip()]
    questions = tuple(row.questions[place] for place in with_words)
    are_parallel = len(row.answers) == len(row.questions)
    answers = tuple(row.answers[place] for place in with_words) if are_parallel else row.answers
    if not with_words:
        fault = UnusableFileError("blank_question", f"none of its {len(row.questions)} questions has words")
        return (), (), row.rejects(fault)
    question_rows = row.question_rows or row.rows[:1] * len(row.questions)
    total = Counter(question_rows)
    blank = Counter(question_rows[place] for place in range(len(row.questions)) if not row.questions[place].strip())
    rejects = [
        RejectRecord(of, "blank_question", f"{count} of its {total[of]} questions have no words")
        for of, count in blank.items()
    ]
    return questions, answers, rejects
