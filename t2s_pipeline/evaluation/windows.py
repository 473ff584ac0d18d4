"""Windows: the parts of a split's answers that are worked on, staged and resumed together.

A window holds consecutive images with their questions or completions. Its bounds depend on the split alone: not on the
number of workers, and not on the place where an earlier try stopped. So each window is the same batches for everybody.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.core.distribution.crew import Team, Workload
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.datasets.question_choice import asked_questions
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.lake.stored_images import StoredImages
from t2s_pipeline.lake.table import Table
from t2s_pipeline.vision.pictures import decode_image


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a sample. ``text`` is the question, or the completion that answers it."""

    sample_id: str
    question_index: int
    text: str

    @property
    def key(self) -> tuple[str, int]:
        """Sample and question index."""
        return self.sample_id, self.question_index


Window = dict[str, list[Item]]
"""Image → the items about it, images in the order in which they are stored."""


def questions_to_ask(samples: pa.Table, max_questions: int | None, rule: str) -> dict[str, list[Item]]:
    """The questions that a system is asked, by sample; samples without a question are left out.

    Args:
        samples: of ``SAMPLES``, with ``sample_id`` and ``questions``.
        max_questions: the most questions of a sample, in the order of the rule; None asks all.
        rule: of the dataset's published numbers (datasets/question_choice.py).
    """
    items: dict[str, list[Item]] = {}
    for sample_id, questions in zip(samples["sample_id"].to_pylist(), samples["questions"].to_pylist(), strict=True):
        indices = asked_questions(sample_id, len(questions), max_questions, rule)
        if indices:
            items[sample_id] = [Item(sample_id, index, questions[index]) for index in indices]
    return items


def plan(lake: LakePlace, partition: Partition, items: Mapping[str, Sequence[Item]], size: int) -> list[Window]:
    """Windows of at least ``size`` items; the last may have fewer. The items of an image stay in one window.

    Args:
        lake: where the tables are.
        partition: the dataset and split.
        items: by image_id.
        size: the fewest items of a window.

    Raises:
        InputError: if an item's image is not in the lake.
    """
    order = read_partition(lake, IMAGES, partition, ["image_id"])["image_id"].to_pylist()
    missing = sorted(set(items) - set(order))
    if missing:
        raise InputError(
            f"{len(missing)} images that samples refer to are not stored (first: {missing[0]}): "
            "materialize images and samples of this split again."
        )
    windows: list[Window] = [{}]
    count = 0
    for image_id in order:
        if image_id not in items:
            continue
        if count >= size:
            windows.append({})
            count = 0
        windows[-1][image_id] = list(items[image_id])
        count += len(items[image_id])
    return [window for window in windows if window]


@dataclass(frozen=True)
class Split:
    """The images of a split, as they were when its windows were planned. It travels to every worker.

    Attributes:
        lake: where the tables are.
        partition: the dataset and split.
        fingerprint: of the images; None if they are not there.
    """

    lake: LakePlace
    partition: Partition
    fingerprint: str | None

    @classmethod
    def now(cls, lake: LakePlace, dataset: str, split: str) -> "Split":
        """The split as it is in the lake."""
        partition = {"dataset": dataset, "split": split}
        return cls(lake, partition, fingerprint_of(lake, IMAGES, partition))

    def open(self) -> Callable[[Iterable[str]], Iterator[NDArray[np.uint8]]]:
        """A function from image_ids to the images, in their order: uint8 (H, W, 3), each decoded when it is needed.

        Raises:
            InputError: if the images were replaced meanwhile.
        """
        stored = StoredImages(self.lake, self.partition, self.fingerprint)
        return lambda image_ids: (decode_image(data) for data in stored.encoded(image_ids))


def count_items(windows: Iterable[Window]) -> int:
    """The number of items in all windows together."""
    return sum(len(items) for window in windows for items in window.values())


@dataclass(frozen=True)
class StagedWindows:
    """The windows of a split, and the partitions that their rows go to.

    Attributes:
        lake: where the tables are.
        table: of the partitions.
        partitions: a window gives one table of rows for each.
        windows: of ``plan``.
        fingerprint: of the step; it is written into the partitions.
    """

    lake: LakePlace
    table: Table
    partitions: Sequence[Partition]
    windows: Sequence[Window]
    fingerprint: str

    def finish(
        self,
        what: str,
        work: Workload[Window, Sequence[pa.Table]],
        team: Team,
        progress: Progress,
        note: Callable[[Sequence[pa.Table]], None] = lambda tables: None,
    ) -> int:
        """Let a team do the windows that are not staged, then write the partitions; return the number of their rows.

        Args:
            what: the beginning of the lines of progress.
            work: what is done with a window; one table per partition.
            team: who does it.
            progress: receives the number of items.
            note: gets the tables of each window that was done now.

        Raises:
            T2SError: if a window fails, or the disk is full.
        """
        bounds = _bounds(self.windows)
        staged = [StagedPartition(self.lake, self.table, each, self.fingerprint, bounds) for each in self.partitions]
        finished = set.intersection(*(pieces.numbers() for pieces in staged))
        remaining = [(number, window) for number, window in enumerate(self.windows) if number not in finished]
        total = count_items(self.windows)
        done = total - count_items(window for _, window in remaining)
        progress.start(what, total, done)

        def take(number: int, tables: Sequence[pa.Table]) -> None:
            nonlocal done
            for pieces, table in zip(staged, tables, strict=True):
                pieces.put(number, table)
            note(tables)
            done += count_items([self.windows[number]])
            progress.advance(done)

        if remaining:
            team.do(work, remaining, take)
        return sum(pieces.commit() for pieces in staged)


def _bounds(windows: Sequence[Window]) -> str:
    """A hash of which items are in which window."""
    digest = hashlib.sha256()
    for window in windows:
        digest.update(b"window\n")
        for items in window.values():
            digest.update("".join(f"{item.sample_id}\0{item.question_index}\n" for item in items).encode())
    return digest.hexdigest()


def by_image(samples: pa.Table, items: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
    """Items by sample_id → items by image_id. The samples of an image stay in the order of ``samples``."""
    grouped: dict[str, list[Item]] = {}
    for sample_id, image_id in zip(samples["sample_id"].to_pylist(), samples["image_id"].to_pylist(), strict=True):
        if sample_id in items:
            grouped.setdefault(image_id, []).extend(items[sample_id])
    return grouped
