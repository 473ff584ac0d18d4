"""What GRPO trains on: the order of samples and questions, and their images.

The order of a whole run is decided before it starts, from the experiment's seed only, so that a resumed run
continues with the same samples. Each image is decoded and resized once per run, not once per completion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.schema import IMAGES, SAMPLES
from t2s_pipeline.lake.store import read_partition, scan
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.pseudo_labels.table import read_labels
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.pictures import decode_image

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TrainingSample:
    """A sample of the training split: a target and its questions. ``truth`` has the image's native size."""

    sample_id: str
    image_id: str
    questions: tuple[str, ...]
    truth: Rle
    labels: tuple[Label, ...] = ()
    """Pseudo-labels, if the reward compares answers with them."""
    category: str | None = None
    answers: tuple[str, ...] = ()
    contains: tuple[str, ...] | None = None
    """The categories that are visible in the image, if the dataset says so."""
    box_dataset: str = ""
    """The referring dataset of a sample whose answers are compared with the box of its truth; empty for others."""

    @property
    def image_key(self) -> str:
        """The image among those of all datasets of the run."""
        return f"{self.box_dataset}/{self.image_id}" if self.box_dataset else self.image_id


@dataclass(frozen=True)
class QuestionChoice:
    """One prompt of the run: the index of a sample and the index of one of its questions."""

    sample: int
    question: int


def read_samples(lake: LakePlace, dataset: str, labels: str = "") -> list[TrainingSample]:
    """The training split's samples, sorted by id.

    Args:
        lake: where the tables are.
        dataset: whose training split is read.
        labels: the method whose pseudo-labels are read too; empty for none. A target without a label could not be
            distinguished from an empty target, so it is left out.

    Raises:
        NotMaterializedError: if the split is not in the lake, or has no labels of this method.
        InputError: if it has no sample with a question.
    """
    partition = {"dataset": dataset, "split": "train"}
    columns = ["sample_id", "image_id", "questions", "mask", "is_empty", "category", "answers", "contains"]
    rows = read_partition(lake, SAMPLES, partition, columns).to_pylist()
    labelled = read_labels(lake, labels, partition) if labels else {}
    samples = [
        TrainingSample(
            row["sample_id"],
            row["image_id"],
            tuple(row["questions"]),
            Rle.from_arrow(row["mask"]),
            labelled.get(row["sample_id"], ()),
            row["category"],
            tuple(row["answers"] or ()),
            None if row["contains"] is None else tuple(row["contains"]),
        )
        for row in sorted(rows, key=lambda row: row["sample_id"])
        if row["questions"] and (not labels or row["is_empty"] or row["sample_id"] in labelled)
    ]
    if not samples:
        raise InputError(
            f"The training split of {dataset} has no sample with a question. Ingest a split that has questions."
        )
    return samples


def prompt_order(questions: Sequence[int], length: int, seed: int) -> list[QuestionChoice]:
    """The prompts of a run, in order.

    Each pass over the samples has its own permutation. In each pass, one question per sample is chosen with equal
    probability. Both depend on the seed and the number of the pass only.

    Args:
        questions: the number of questions of each sample.
        length: how many prompts the run needs.
        seed: of the experiment.
    """
    order: list[QuestionChoice] = []
    counts = np.asarray(questions)
    passes = 0
    while len(order) < length:
        random = np.random.default_rng([seed, passes])
        permutation = random.permutation(len(counts))
        indices = random.integers(counts[permutation])
        order += [
            QuestionChoice(int(sample), int(question)) for sample, question in zip(permutation, indices, strict=True)
        ]
        passes += 1
    return order[:length]


class Squares:
    """The images of a run, resized to the prompter's square, uint8 (S, S, 3), in one file on disk.

    They are on disk because 2,371 squares of 840 pixels take 5 GB. The page cache keeps those in use.

    Args:
        path: the file, in NumPy's format.
        side: S, in pixels.
        image_ids: the images, each once; this is their order in the file.
        write: True to create the file, which ``fill`` then fills; False to open the file of another rank.
    """

    def __init__(self, path: Path, side: int, image_ids: Sequence[str], write: bool = True) -> None:
        self._index = {image_id: index for index, image_id in enumerate(image_ids)}
        if write:
            shape = (len(image_ids), side, side, 3)
            self._pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        else:
            self._pixels = np.lib.format.open_memmap(path, mode="r")

    def fill(
        self,
        lake: LakePlace,
        dataset: str,
        square: Callable[[np.ndarray], "Image"],
        keys: Mapping[str, str] | None = None,
    ) -> Iterator[int]:
        """Read the images from the lake and store them as squares.

        Args:
            lake: where the tables are.
            dataset: whose training split holds the images.
            square: resizes an image, uint8 (H, W, 3), to the prompter's square.
            keys: image of the dataset → its name here; None: every image, by the same name.

        Yields:
            After each image, how many are done.

        Raises:
            NotMaterializedError: if the split's images are not in the lake.
            InputError: if one of them is missing.
        """
        keys = {image_id: image_id for image_id in self._index} if keys is None else keys
        remaining = set(keys)
        for batch in scan(lake, IMAGES, {"dataset": dataset, "split": "train"}, ["image_id", "bytes"]):
            for image_id, data in zip(batch["image_id"].to_pylist(), batch["bytes"], strict=True):
                if image_id in remaining:
                    self._pixels[self._index[keys[image_id]]] = np.asarray(square(decode_image(data.as_py())))
                    remaining.remove(image_id)
                    yield len(keys) - len(remaining)
        if remaining:
            raise InputError(
                f"{len(remaining)} images of {dataset}/train are in the table samples but not in images, for example "
                f"{min(remaining)}. Ingest the dataset again."
            )

    def __getitem__(self, image_id: str) -> np.ndarray:
        square: np.ndarray = self._pixels[self._index[image_id]]
        return square
