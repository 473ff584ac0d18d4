"""The run's prompts as TRL takes them: a table of row numbers; everything else is looked up when a row is read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import datasets
import numpy as np
from PIL import Image

from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.second_look import second_question
from t2s_pipeline.pseudo_labels.label import Label, tight_box
from t2s_pipeline.training.dataset import QuestionChoice, Squares, TrainingSample
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.second_look import marked


class PromptRow(TypedDict):
    """One prompt of the run, with what the rewards need. All arrays are on the prompter's square of side S."""

    row: int
    """The place in the run's order."""
    prompt: list[dict[str, Any]]
    """The chat messages."""
    image: Image.Image
    square: np.ndarray
    """The image as uint8 (S, S, 3)."""
    truth: np.ndarray
    """Bool (S, S)."""
    image_key: str
    truth_key: str
    labels: tuple[Label, ...]
    label_box: Box | None
    """The box that answers are compared with in place of the truth, in the frame of the answers; None for most."""


class _Transform:
    """A function that is not pickled.

    ``datasets`` names a dataset by the hash of its pickled transform. The pickle of ours would hold the whole prompter:
    with 3 billion weights, a minute and 15 GB of memory at the start of each run.
    """

    def __init__(self, function: Callable[[dict[str, list[int]]], dict[str, list[Any]]]) -> None:
        self._function = function

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        return self._function(batch)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("the rows of a run",)


class Prompts:
    """Row i is the i-th prompt of the run (an image and a question); TRL repeats each row G times.

    Rows are looked up, not stored, because TRL reads a row once per completion. Here the G rows of a group share one
    picture and one truth. ``first_masks`` holds the masks that are drawn into the pictures of second looks, by row.
    """

    def __init__(
        self,
        samples: Sequence[TrainingSample],
        order: Sequence[QuestionChoice],
        squares: Squares,
        prompter: Prompter,
        combination: PromptCombination,
        first_masks: Mapping[int, masks.Rle] | None = None,
    ) -> None:
        self._samples, self._order, self._squares = samples, order, squares
        self._prompter, self._combination = prompter, combination
        self._first_masks = first_masks or {}

    def dataset(self) -> datasets.Dataset:
        """Columns: ``prompt`` and ``image`` for TRL, ``row`` for our trainer, the others for the rewards."""
        return datasets.Dataset.from_dict({"row": list(range(len(self._order)))}).with_transform(
            _Transform(self._look_up)
        )

    def _look_up(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows: dict[int, dict[str, Any]] = {row: {**self.row(row)} for row in dict.fromkeys(batch["row"])}
        columns = next(iter(rows.values()))
        return {name: [rows[row][name] for row in batch["row"]] for name in columns}

    def sample_id(self, index: int) -> str:
        """The sample of a prompt."""
        return self._samples[self._order[index].sample].sample_id

    def question(self, index: int) -> str:
        """The question of a prompt."""
        choice = self._order[index]
        return self._samples[choice.sample].questions[choice.question]

    def row(self, index: int) -> PromptRow:
        """One prompt with its image and truth, both on the prompter's square."""
        sample = self._samples[self._order[index].sample]
        square = np.ascontiguousarray(self._squares[sample.image_key])
        truth = self._truth(sample.truth)
        question, picture = self.question(index), square
        if index in self._first_masks:
            picture = marked(square, masks.decode(self._first_masks[index]))
            question = second_question(question)
        return {
            "row": index,
            "prompt": self._prompter.messages(question, self._combination),
            "image": Image.fromarray(picture),
            "square": square,
            "truth": truth,
            "image_key": sample.image_key,
            "truth_key": sample.sample_id,
            "labels": sample.labels,
            "label_box": self._label_box(truth) if sample.box_dataset else None,
        }

    def _label_box(self, truth: np.ndarray) -> Box | None:
        """The box around a truth on the square, in the frame of the answers; None for an empty one."""
        if not truth.any():
            return None
        x0, y0, x1, y1 = map(float, tight_box(truth))
        box = PromptObject((x0, y0, x1 + 1, y1 + 1))
        return box.moved(self._prompter.frame, self._prompter.answers).bbox

    def _truth(self, rle: masks.Rle) -> np.ndarray:
        """Bool (S, S); each pixel has the value of the original pixel under its centre."""
        frame = self._prompter.frame
        return masks.at_centres(masks.decode(rle), frame.height, frame.width)
