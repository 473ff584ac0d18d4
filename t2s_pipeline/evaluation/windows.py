"""Windows: the parts of a split's answers that are worked on, staged and resumed together.

A window holds consecutive images with their questions or completions. Its bounds depend on the split alone, and not on
the place where an earlier try stopped. So a resumed run makes the same batches as an uninterrupted one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.question_choice import asked_questions
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.store import Partition, read_partition, scan
from t2s_pipeline.vision.pictures import decode_image

IMAGES_AT_ONCE = 16
"""Encoded images that are held in memory while streaming. Decoded images are held one at a time."""


@dataclass(frozen=True)
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


def plan(lake: Path, partition: Partition, items: Mapping[str, Sequence[Item]], size: int) -> list[Window]:
    """Windows of at least ``size`` items; the last may have fewer. The items of an image stay in one window.

    Args:
        lake: the folder of the lake.
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
    return windows


def pending(windows: Sequence[Window], done: set[tuple[str, int]]) -> list[Window]:
    """The windows without the items that an earlier try finished. A window without items is dropped."""
    remaining = []
    for window in windows:
        unfinished = {image_id: [item for item in items if item.key not in done] for image_id, items in window.items()}
        unfinished = {image_id: items for image_id, items in unfinished.items() if items}
        if unfinished:
            remaining.append(unfinished)
    return remaining


def count_items(windows: Sequence[Window]) -> int:
    """The number of items in all windows together."""
    return sum(len(items) for window in windows for items in window.values())


def decoded(lake: Path, partition: Partition, windows: Sequence[Window]) -> Iterator[NDArray[np.uint8]]:
    """The image of each entry of the windows, in their order: uint8 (H, W, 3). An image is decoded when it is needed.

    Args:
        lake: the folder of the lake.
        partition: the dataset and split.
        windows: of ``plan``.
    """
    needed = {image_id for window in windows for image_id in window}
    for batch in scan(lake, IMAGES, partition, ["image_id", "bytes"], batch_rows=IMAGES_AT_ONCE):
        for image_id, data in zip(batch["image_id"].to_pylist(), batch["bytes"], strict=True):
            if image_id in needed:
                yield decode_image(data.as_py())


def by_image(samples: pa.Table, items: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
    """Items by sample_id → items by image_id. The samples of an image stay in the order of ``samples``."""
    grouped: dict[str, list[Item]] = {}
    for sample_id, image_id in zip(samples["sample_id"].to_pylist(), samples["image_id"].to_pylist(), strict=True):
        if sample_id in items:
            grouped.setdefault(image_id, []).extend(items[sample_id])
    return grouped
