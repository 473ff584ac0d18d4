"""First answers for second looks: every second prompt, a batch at a time, and empty where nothing can be read."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.worker
pytest.importorskip("torch")

from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.methods.experiments import experiment  # noqa: E402
from t2s_pipeline.prompting.templates import answer_text  # noqa: E402
from t2s_pipeline.training.dataset import QuestionChoice, TrainingSample  # noqa: E402
from t2s_pipeline.training.first_masks import first_masks  # noqa: E402
from t2s_pipeline.vision import masks  # noqa: E402
from t2s_pipeline.vision.geometry import Frame, PromptObject  # noqa: E402

SIDE = 40
EXPERIMENT = experiment("think2seg-second-look-mini")
TRUTH = masks.encode(np.ones((4, 4), bool))
SAMPLES = [TrainingSample(name, name, (f"Where is {name}?", "no answer"), TRUTH) for name in "ab"]
ORDER = [QuestionChoice(*place) for place in ((0, 0), (1, 0), (0, 1), (0, 0), (1, 1), (0, 1))]
"""The second, fourth and last prompt are second looks."""
BOXES = {"Where is a?": (0, 0, 10, 20), "Where is b?": (20, 20, 40, 40)}


class Prompter:
    """Answers with the box of a question, and with no answer where it has none."""

    frame = answers = Frame.square(SIDE)

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def answer(self, images, questions, combination, generation):
        self.batches.append(questions)
        texts = []
        for image, question in zip(images, questions, strict=True):
            box = BOXES.get(question)
            if box is None:
                texts.append("I cannot say.")
                continue
            assert (image == ord(question[9])).all(), "each question comes with its own picture"
            points = ((box[0] + 1.0, box[1] + 1.0),) * combination.positive_points
            texts.append(answer_text("", combination.render((PromptObject(box, points),))))
        return [SimpleNamespace(text=text) for text in texts]


class Segmenter:
    """The mask of a prompt is its box."""

    def encode(self, image):
        return image

    def decode(self, embedding, prompt_sets, source, out, multimask):
        mask = np.zeros((SIDE, SIDE), bool)
        for x0, y0, x1, y1 in (item.bbox for item in prompt_sets[0]):
            mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        return [SimpleNamespace(mask=mask)]


def looks(experiment, prompter):
    squares = {name: np.full((SIDE, SIDE, 3), ord(name), np.uint8) for name in "ab"}
    return first_masks(experiment, SAMPLES, ORDER, squares, (prompter, Segmenter()), NoProgress())


def test_every_second_prompt_is_answered_once_in_batches():
    prompter = Prompter()
    small = replace(EXPERIMENT, generation=replace(EXPERIMENT.generation, batch_size=2))
    found = {place: masks.decode(mask) for place, mask in looks(small, prompter).items()}
    assert prompter.batches == [["Where is b?", "Where is a?"], ["no answer"]]
    assert sorted(found) == [1, 3, 5]
    assert found[1].sum() == 400 and found[1][20:, 20:].all()
    assert found[3].sum() == 200 and found[3][:20, :10].all()
    assert found[5].shape == (SIDE, SIDE) and not found[5].any(), "an answer that cannot be read has an empty mask"


def test_a_run_with_one_turn_asks_nothing():
    prompter = Prompter()
    assert looks(experiment("think2seg-mini"), prompter) == {} and prompter.batches == []
