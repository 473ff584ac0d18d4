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

from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, names_below, require_folder
from t2s_pipeline.datasets.query_files import Query, read_queries
from t2s_pipeline.datasets.records import Record, RejectRecord
from t2s_pipeline.datasets.scene import NoTarget, Row, Scene, read_scene, scenes_of


@dataclass(frozen=True)
class CustomTable:
    """The reader; all paths are absolute. ``split`` is that of rows that state none."""

    images: Path
    masks: Path
    queries: Path
    split: str

    def splits(self, root: Path) -> list[str]:
        if not self.queries.is_file():
            return []
        there = {self._split(entry) for entry in read_queries(self.queries) if isinstance(entry, Query)}
        return [split for split in SPLITS if split in there] or [self.split]

    def sources(self, root: Path, split: str) -> list[Scene]:
        images = NamedFiles(require_folder(self.images, "give the folder of the images with --images."))
        masks = NamedFiles(require_folder(self.masks, "give the folder of the masks with --masks."))
        rejects: list[RejectRecord] = []
        queries: list[Query] = []
        for entry in read_queries(self.queries):
            if isinstance(entry, RejectRecord):
                # A row that cannot be read names no split; it is told once.
                rejects += [entry] if split == self.split else []
            elif self._split(entry) not in SPLITS:
                found = f"its split is {entry.split!r}, not one of {', '.join(SPLITS)}"
                rejects += [RejectRecord(entry.row, "invalid_row", found)] if split == self.split else []
            elif self._split(entry) == split:
                queries.append(entry)
        rows: list[Row] = []
        for entry in _merged(queries):
            (rejects if isinstance(entry, RejectRecord) else rows).append(entry)
        scenes = scenes_of(rows, images, masks)
        return [Scene(rejects=tuple(rejects)), *scenes] if rejects else scenes

    def files(self, root: Path, split: str) -> list[str]:
        pictures = (path for scene in self.sources(root, split) for path in scene.files)
        return names_below(root, [self.queries, *pictures])

    def read(self, root: Path, source: Scene) -> list[Record]:
        return read_scene(root, source)

    def _split(self, query: Query) -> str:
        return query.split or self.split


def _merged(queries: list[Query]) -> Iterator[Row | RejectRecord]:
    """One row a sample: the questions of its rows in order. Rows that contradict its first one are set aside."""
    samples: dict[object, Row] = {}
    places: dict[object, tuple[str, str]] = {}
    for query in queries:
        mask = query.image if query.mask is None else query.mask
        place = (query.image, mask)
        key = query.sample_id or place
        known = samples.get(key)
        if known is None:
            drawing = None if mask.strip() else NoTarget()
            samples[key] = Row(
                query.row,
                query.image,
                query.questions,
                drawing,
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
