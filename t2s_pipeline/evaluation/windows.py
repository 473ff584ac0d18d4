"""Splitting a dataset's answers into windows: what is worked on, staged and resumed together.

A window is a run of consecutive images with their questions or completions. Its bounds depend on the split
alone and not on where an earlier try stopped, so a resumed run makes the same batches as an uninterrupted one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.store import Partition, read_partition, scan
from t2s_pipeline.vision.image_files import decode_image

IMAGES_AT_ONCE = 16
"""Encoded images held while streaming; decoded, one at a time."""


@dataclass(frozen=True)
class Item:
    """One question of a sample; ``text`` is the question, or the completion that answers it."""

    sample_id: str
    question_index: int
    text: str

    @property
    def key(self) -> tuple[str, int]:
        return self.sample_id, self.question_index


Window = dict[str, list[Item]]
"""Image → the items about it, images in the order they are stored in."""


def plan(lake: Path, where: Partition, items: Mapping[str, Sequence[Item]], size: int) -> list[Window]:
    """Windows of at least ``size`` items (the last may have fewer), an image never split between two.

    Args:
        where: the dataset and split.
        items: by image_id.

    Raises:
        InputError: if an item's image is not in the lake.
    """
    order = read_partition(lake, IMAGES, where, ["image_id"])["image_id"].to_pylist()
    lost = sorted(set(items) - set(order))
    if lost:
        raise InputError(
            f"{len(lost)} images that samples refer to are not stored (first: {lost[0]}): "
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
    """The windows without what an earlier try finished; windows with nothing left are dropped."""
    left = []
    for window in windows:
        rest = {image_id: [item for item in items if item.key not in done] for image_id, items in window.items()}
        rest = {image_id: items for image_id, items in rest.items() if items}
        if rest:
            left.append(rest)
    return left


def decoded(lake: Path, where: Partition, windows: Sequence[Window]) -> Iterator[np.ndarray]:
    """The image of each entry of the windows, in their order: uint8 (H, W, 3), decoded as it is asked for."""
    wanted = {image_id for window in windows for image_id in window}
    for batch in scan(lake, IMAGES, where, ["image_id", "bytes"], batch_rows=IMAGES_AT_ONCE):
        for image_id, data in zip(batch["image_id"].to_pylist(), batch["bytes"], strict=True):
            if image_id in wanted:
                yield decode_image(data.as_py())


def by_image(samples: pa.Table, items: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
    """Items by sample_id → items by image_id, samples of one image in the order of ``samples``."""
    grouped: dict[str, list[Item]] = {}
    for sample_id, image_id in zip(samples["sample_id"].to_pylist(), samples["image_id"].to_pylist(), strict=True):
        if sample_id in items:
            grouped.setdefault(image_id, []).extend(items[sample_id])
    return grouped
