"""Prompts of other kinds that are mixed into a run: referring samples with box labels, and mined empty questions.

Which prompts are replaced depends on their place in the run only, so that a longer run begins as a shorter one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from t2s_pipeline.training.dataset import QuestionChoice, TrainingSample, prompt_order
from t2s_pipeline.vision import masks

REFERRING_STREAM, EMPTY_STREAM = 1 << 20, 1 << 21
"""Offsets of the seed for the random numbers of both kinds of prompts."""
MOST_TRIES = 64
"""Images that are looked at for one that lacks a target."""
LEAST_LETTERS = 5
"""Of the words in which two samples are compared."""


@dataclass(frozen=True)
class Mixture:
    """The prompts of a run.

    Attributes:
        samples: those of the dataset, then those that were added.
        order: the prompts, as indices into ``samples``.
        referring: how many prompts have a box label.
        mined: how many questions are asked about an image that lacks their target.
        unchanged: how many were to be mined, and no image was known to lack their target.
    """

    samples: list[TrainingSample]
    order: list[QuestionChoice]
    referring: int = 0
    mined: int = 0
    unchanged: int = 0


def mixed(
    samples: Sequence[TrainingSample],
    order: Sequence[QuestionChoice],
    referring: Sequence[TrainingSample],
    shares: tuple[float, float],
    seed: int,
) -> Mixture:
    """Replace shares of the prompts of a run.

    Args:
        samples: of the training split.
        order: the run's prompts.
        referring: samples of a referring dataset.
        shares: of prompts with a box label, and of mined empty questions.
        seed: of the experiment.
    """
    box_share, empty_share = shares
    places = [_kind(index, box_share, empty_share) for index in range(len(order))]
    everything, prompts = [*samples, *referring], list(order)
    counts = [len(sample.questions) for sample in referring]
    choices = iter(prompt_order(counts, places.count("box"), seed + REFERRING_STREAM) if referring else ())
    mined = unchanged = 0
    for index, kind in enumerate(places):
        if kind == "box":
            choice = next(choices)
            prompts[index] = QuestionChoice(len(samples) + choice.sample, choice.question)
        elif kind == "empty":
            asked = samples[order[index].sample]
            random = np.random.default_rng([seed + EMPTY_STREAM, index])
            image = image_without(asked, samples, random)
            if image is None:
                unchanged += 1
                continue
            mined += 1
            prompts[index] = QuestionChoice(len(everything), 0)
            everything.append(_empty_sample(asked, order[index].question, image))
    return Mixture(everything, prompts, places.count("box"), mined, unchanged)


def _kind(index: int, box_share: float, empty_share: float) -> str:
    """What the prompt at a place of the run is: the places of a kind lie at equal distances."""

    def is_due(share: float, start: float) -> bool:
        return int((index + 1) * share + start) > int(index * share + start)

    if is_due(box_share, 0.5):
        return "box"
    # A place that both shares fall on goes to the first, so the second has a few less than its share.
    return "empty" if is_due(empty_share, 0.25) else ""


def image_without(
    asked: TrainingSample, samples: Sequence[TrainingSample], random: np.random.Generator
) -> TrainingSample | None:
    """A sample whose image lacks the target of another sample; None if no such image was found."""
    for index in random.integers(len(samples), size=MOST_TRIES):
        other = samples[int(index)]
        if other.image_id != asked.image_id and lacks(other, asked):
            return other
    return None


def lacks(other: TrainingSample, asked: TrainingSample) -> bool:
    """Whether the image of a sample lacks the target of another sample, as far as the dataset says.

    Where the dataset names all categories that are visible, this is certain. Where it names the category of each target
    only, another category is taken for it. Without categories, the answers in words decide: they have no long word in
    common. Then a few images do hold the target (docs/beyond.md).
    """
    if asked.category is not None and other.contains is not None:
        return asked.category not in other.contains
    if asked.category is not None and other.category is not None:
        return asked.category != other.category
    words, others = _words(asked.answers), _words(other.answers)
    return bool(words and others) and not words & others


def _words(texts: Sequence[str]) -> set[str]:
    words = chain.from_iterable(text.lower().split() for text in texts)
    return {word.strip(".,;:!?") for word in words if len(word.strip(".,;:!?")) >= LEAST_LETTERS}


def _empty_sample(asked: TrainingSample, question: int, image: TrainingSample) -> TrainingSample:
    """A question about an image that lacks its target: the right answer is an empty list."""
    nothing = masks.encode(np.zeros((image.truth.height, image.truth.width), bool))
    return replace(
        image,
        sample_id=f"{asked.sample_id}@{image.sample_id}",
        questions=(asked.questions[question],),
        truth=nothing,
        labels=(),
        category=asked.category,
        answers=(),
    )
