"""Your own images and masks, and a table of questions about them: CSV, JSON lines or Parquet.

Columns: ``image`` (a file below the folder of images), ``question``, and, where you have them, ``mask`` (a file below
the folder of masks; without the column, the image's own name), ``answer``, ``category``, ``sample_id``, ``split``. In
JSON lines and Parquet ``question`` and ``answer`` may be lists. An empty ``mask`` says that there is no target.

Rows of one ``sample_id`` are one sample with several questions, in their order; without that column, rows of one image
and mask are. Answers stand beside their questions: if a question of a sample has an answer, there is one for each
question, and it is empty where the table has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.datasets.annotated_images import Index, IndexReader
from t2s_pipeline.datasets.index_rows import NoTarget, Row
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, require_folder, split_of
from t2s_pipeline.datasets.query_files import Query, read_queries
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, PixelRules


@dataclass(frozen=True)
class CustomTable(IndexReader):
    """The reader; all paths are absolute. ``split`` is the split of rows that state none.

    ``encoding`` is that of the table; empty: UTF-8, or what a byte-order mark says.
    """

    images: Path
    masks: Path
    queries: Path
    split: str
    encoding: str = ""
    rules: PixelRules = AS_FILES_SAY

    def splits(self, root: Path) -> list[str]:
        """The splits that the rows state; the reader's own split if they state none."""
        return self._splits(list(read_queries(self.queries, self.encoding))) if self.queries.is_file() else []

    def _splits(self, entries: list[Query | RejectRecord]) -> list[str]:
        stated = {self._split(entry) for entry in entries if isinstance(entry, Query)}
        return [split for split in SPLITS if split in stated] or [self.split]

    def index(self, root: Path, split: str) -> Index:
        """The rows of the split. Raises InputError if a folder or the table is missing, or it is no such table."""
        images = NamedFiles(require_folder(self.images, "give the folder of the images with --images."))
        masks = NamedFiles(require_folder(self.masks, "give the folder of the masks with --masks."))
        return Index([self.queries], self._rows(split), images, masks)

    def _rows(self, split: str) -> Iterator[Row | RejectRecord]:
        entries = list(read_queries(self.queries, self.encoding))
        # A row that belongs to no split is reported once, with the first split that is read.
        is_first = split == self._splits(entries)[0]
        queries: list[Query] = []
        for entry in entries:
            if isinstance(entry, RejectRecord):
                if is_first:
                    yield entry
            elif self._split(entry) is None:
                if is_first:
                    detail = f"its split is {entry.split!r}, not one of {', '.join(SPLITS)}"
                    yield RejectRecord(entry.row, "invalid_row", detail)
            elif self._split(entry) == split:
                queries.append(entry)
        yield from _merged(queries)

    def _split(self, query: Query) -> str | None:
        return self.split if query.split is None else split_of(query.split)


def _merged(queries: list[Query]) -> Iterator[Row | RejectRecord]:
    """One row per sample, with the questions of all its rows in order. A row that contradicts the first is a reject."""
    samples: dict[object, list[Query]] = {}
    for query in queries:
        group = samples.setdefault(query.sample_id or _files(query), [])
        contradiction = _contradiction(query, group)
        if contradiction:
            yield RejectRecord(query.row, "contradiction", contradiction)
        else:
            group.append(query)
    for group in samples.values():
        image, mask = _files(group[0])
        answers = tuple(answer for query in group for answer in query.answers)
        yield Row(
            tuple(query.row for query in group),
            image,
            tuple(question for query in group for question in query.questions),
            None if mask.strip() else NoTarget(),
            mask=mask,
            sample_id=group[0].sample_id,
            answers=answers if any(answers) else (),
            category=_category(group),
            question_rows=tuple(query.row for query in group for _ in query.questions),
        )


def _files(query: Query) -> tuple[str, str]:
    """The names of the image and the mask; an empty mask says that there is no target."""
    return query.image, query.image if query.mask is None else query.mask


def _category(group: list[Query]) -> str | None:
    return next((query.category for query in group if query.category is not None), None)


def _contradiction(query: Query, group: list[Query]) -> str | None:
    """What a row says otherwise than the rows of its sample before it."""
    if not group:
        return None
    if _files(query) != _files(group[0]):
        return f"sample {query.sample_id} has another image or mask in {group[0].row}"
    category = _category(group)
    if None not in (query.category, category) and query.category != category:
        return f"its category is {query.category!r}, and {category!r} in a row of the same sample before it"
    return None
