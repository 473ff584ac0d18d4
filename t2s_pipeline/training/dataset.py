"""What GRPO trains on: which sample with which question in which order, and its image. No torch.

The order of a whole run is drawn before it starts, from the experiment's seed alone, so that a resumed run
goes on with the sample it would have seen. Each image is decoded and resized once a run, not once a completion.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.schema import IMAGES, SAMPLES
from t2s_pipeline.lake.store import read_partition, scan
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.pseudo_labels.table import read_labels
from t2s_pipeline.vision.image_files import decode_image
from t2s_pipeline.vision.masks import Rle

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TrainingSample:
    """A target and its questions; ``truth`` at native size."""

    sample_id: str
    image_id: str
    questions: tuple[str, ...]
    truth: Rle
    labels: tuple[Label, ...] = ()
    """Pseudo-labels, where the reward compares answers with some."""


@dataclass(frozen=True)
class QuestionChoice:
    """One prompt of the run: a sample and which of its questions, both 0-based."""

    sample: int
    question: int


def read_samples(lake: Path, dataset: str, labels: str = "") -> list[TrainingSample]:
    """The training split's samples, sorted by id.

    Args:
        labels: whose pseudo-labels come along; empty for none. A target that they leave without a label cannot be
            told from an empty one, so it is left out.

    Raises:
        NotMaterializedError: if the split is not in the lake, or has not been labelled.
        InputError: if it holds no sample with a question.
    """
    where = {"dataset": dataset, "split": "train"}
    columns = ["sample_id", "image_id", "questions", "mask", "is_empty"]
    rows = read_partition(lake, SAMPLES, where, columns).to_pylist()
    labelled = read_labels(lake, labels, where) if labels else {}
    samples = [
        TrainingSample(
            row["sample_id"],
            row["image_id"],
            tuple(row["questions"]),
            Rle.from_arrow(row["mask"]),
            labelled.get(row["sample_id"], ()),
        )
        for row in sorted(rows, key=lambda row: row["sample_id"])
        if row["questions"] and (not labels or row["is_empty"] or row["sample_id"] in labelled)
    ]
    if not samples:
        raise InputError(f"The training split of {dataset} holds no sample with a question: there is nothing to learn.")
    return samples


def prompt_order(questions: Sequence[int], length: int, seed: int) -> list[QuestionChoice]:
    """``length`` prompts from samples with so many ``questions`` each.

    Every pass over the samples is a permutation of its own, and every sample gets one question a pass, drawn
    uniformly. Both depend on the seed and the pass alone.
    """
    order: list[QuestionChoice] = []
    counts = np.asarray(questions)
    passes = 0
    while len(order) < length:
        random = np.random.default_rng([seed, passes])
        permutation = random.permutation(len(counts))
        chosen = random.integers(counts[permutation])
        order += [
            QuestionChoice(int(sample), int(question)) for sample, question in zip(permutation, chosen, strict=True)
        ]
        passes += 1
    return order[:length]


class Squares:
    """The images a run needs, resized to the prompter's square, uint8 (S, S, 3), in one file on disk.

    On disk, because 2,371 squares of 840 pixels are 5 GB; what is used again stays in the page cache.

    Args:
        write: make the file, to be filled; else open the one that another rank has filled.
    """

    def __init__(self, path: Path, side: int, image_ids: Sequence[str], write: bool = True) -> None:
        self._place = {image_id: index for index, image_id in enumerate(image_ids)}
        if write:
            shape = (len(image_ids), side, side, 3)
            self._pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        else:
            self._pixels = np.lib.format.open_memmap(path, mode="r")

    def fill(self, lake: Path, dataset: str, square: Callable[[np.ndarray], "Image"]) -> Iterator[int]:
        """Read the images from the lake, resize them by ``square`` and keep them; yields how many are done.

        Raises:
            NotMaterializedError: if the split's images are not in the lake.
            InputError: if one of them is not there.
        """
        left = set(self._place)
        for batch in scan(lake, IMAGES, {"dataset": dataset, "split": "train"}, ["image_id", "bytes"]):
            for image_id, data in zip(batch["image_id"].to_pylist(), batch["bytes"], strict=True):
                if image_id in left:
                    self._pixels[self._place[image_id]] = np.asarray(square(decode_image(data.as_py())))
                    left.remove(image_id)
                    yield len(self._place) - len(left)
        if left:
            raise InputError(
                f"{len(left)} images of {dataset}/train are in samples but not in images, {min(left)} among them: "
                "ingest the dataset again."
            )

    def __getitem__(self, image_id: str) -> np.ndarray:
        return self._pixels[self._place[image_id]]
