"""Your own images and masks, and a table of questions about them: CSV, JSON lines or Parquet.

Columns: ``image`` (a file below the folder of images), ``question``, and, where you have them, ``mask`` (a file below
the folder of masks; without the column, the image's own name), ``answer``, ``category``, ``sample_id``, ``split``. In
JSON lines and Parquet ``question`` and ``answer`` may be lists. An empty ``mask`` says that there is no target.

Rows of one ``sample_id`` are one sample with several questions, in their order; without that column, rows of one image
and mask are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from t2s_pipeline.datasets.annotated_images import Index, IndexReader, NoTarget, Row
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, require_folder
from t2s_pipeline.datasets.query_files import Query, read_queries
from t2s_pipeline.datasets.records import RejectRecord


@dataclass(frozen=True)
class CustomTable(IndexReader):
    """The reader; all paths are absolute. ``split`` is the split of rows that state none."""

    images: Path
    masks: Path
    queries: Path
    split: str

    def splits(self, root: Path) -> list[str]:
        """The splits that the rows state; the reader's own split if they state none."""
        if not self.queries.is_file():
            return []
        stated = {self._split(entry) for entry in read_queries(self.queries) if isinstance(entry, Query)}
        return [split for split in SPLITS if split in stated] or [self.split]

    def index(self, root: Path, split: str) -> Index:
        """The rows of the split. Raises InputError if a folder or the table is missing, or it is no such table."""
        images = NamedFiles(require_folder(self.images, "give the folder of the images with --images."))
        masks = NamedFiles(require_folder(self.masks, "give the folder of the masks with --masks."))
        return Index([self.queries], self._rows(split), images, masks)

    def _rows(self, split: str) -> Iterator[Row | RejectRecord]:
        # A row that states no usable split is reported once, with the reader's own split.
        queries: list[Query] = []
        for entry in read_queries(self.queries):
            if isinstance(entry, RejectRecord):
                if split == self.split:
                    yield entry
            elif self._split(entry) not in SPLITS:
                if split == self.split:
                    detail = f"its split is {entry.split!r}, not one of {', '.join(SPLITS)}"
                    yield RejectRecord(entry.row, "invalid_row", detail)
            elif self._split(entry) == split:
                queries.append(entry)
        yield from _merged(queries)

    def _split(self, query: Query) -> str:
        return query.split or self.split


def _merged(queries: list[Query]) -> Iterator[Row | RejectRecord]:
    """One row per sample, with the questions of all its rows in order. A row that contradicts the first is a reject."""
    samples: dict[object, Row] = {}
    places: dict[object, tuple[str, str]] = {}
    for query in queries:
        mask = query.image if query.mask is None else query.mask
        place = (query.image, mask)
        key = query.sample_id or place
        known = samples.get(key)
        if known is None:
            samples[key] = Row(
                query.row,
                query.image,
                query.questions,
                None if mask.strip() else NoTarget(),
                mask=mask,
                sample_id=query.sample_id,
                answers=query.answers,
                category=query.category,
            )
            places[key] = place
        elif places[key] != place:
            yield RejectRecord(query.row, "contradiction", f"sample {key} has another image or mask in {known.row}")
        else:
            questions = known.questions + query.questions
            samples[key] = replace(known, questions=questions, answers=known.answers + query.answers)
    yield from samples.values()
