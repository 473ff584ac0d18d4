"""The run's prompts as TRL takes them: a table of row numbers, and everything else looked up on access.  [torch]"""

from collections.abc import Sequence

import datasets
import numpy as np
from PIL import Image

from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.training.dataset import QuestionChoice, Squares, TrainingSample
from t2s_pipeline.vision import masks


class Prompts:
    """Row i is the i-th prompt of the run (an image and a question); TRL repeats each G times.

    Looked up and not stored, because TRL asks for a row once per completion: here the G rows of a group share
    one picture and one truth.
    """

    def __init__(
        self,
        samples: Sequence[TrainingSample],
        order: Sequence[QuestionChoice],
        squares: Squares,
        prompter: Prompter,
        combination: PromptCombination,
    ) -> None:
        self._samples, self._order, self._squares = samples, order, squares
        self._prompter, self._combination = prompter, combination

    def dataset(self) -> datasets.Dataset:
        """Columns: ``prompt`` and ``image`` for TRL, ``row`` for our trainer, the rest for the rewards."""
        return datasets.Dataset.from_dict({"row": list(range(len(self._order)))}).with_transform(self._look_up)

    def _look_up(self, batch: dict[str, list[int]]) -> dict[str, list]:
        found = {row: self.row(row) for row in dict.fromkeys(batch["row"])}
        names = next(iter(found.values()))
        return {name: [found[row][name] for row in batch["row"]] for name in names}

    def sample_id(self, index: int) -> str:
        return self._samples[self._order[index].sample].sample_id

    def question(self, index: int) -> str:
        draw = self._order[index]
        return self._samples[draw.sample].questions[draw.question]

    def row(self, index: int) -> dict:
        """One prompt with its image and truth, both on the prompter's square."""
        draw = self._order[index]
        sample = self._samples[draw.sample]
        square = np.ascontiguousarray(self._squares[sample.image_id])
        return {
            "row": index,
            "prompt": self._prompter.messages(sample.questions[draw.question], self._combination),
            "image": Image.fromarray(square),
            "square": square,
            "truth": self._truth(sample.truth),
            "image_key": sample.image_id,
            "truth_key": sample.sample_id,
            "labels": sample.labels,
        }

    def _truth(self, rle: masks.Rle) -> np.ndarray:
        """Bool (S, S), each new pixel taking the old one under its centre."""
        frame = self._prompter.frame
        return masks.nearest(masks.decode(rle), frame.height, frame.width)
