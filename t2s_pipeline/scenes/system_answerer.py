"""A system with its models loaded, as a search of scenes needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.load import kept_answerer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.lax import parse_both
from t2s_pipeline.prompting.parsing import Answer, FormatError
from t2s_pipeline.scenes.answering import ObjectMask, Reading
from t2s_pipeline.segmenters.kept_embeddings import kept_embeddings
from t2s_pipeline.segmenters.load import kept_segmenter
from t2s_pipeline.segmenters.negatives import with_mined_negatives
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Frame, PromptObject

SAMPLING_TEMPERATURE = 1.0
"""The temperature of sampled answers, as in training."""

SMALL_SQUARE = 448
"""A prompter with a smaller square was taught on small pictures, which were reduced to about half for it."""


@dataclass
class SystemAnswerer:
    """An ``Answerer``. The prompter is loaded when the first question is asked, the segmenter with the first prompts.

    Both stay loaded in this process, and so do the last embeddings.

    Attributes:
        system: the system.
        device: a torch device.
    """

    system: System
    device: str

    @cached_property
    def prompter(self) -> Chat:
        """The prompter with its weights."""
        return kept_answerer(self.system.prompter, self.system.generation, self.device, self.system.asking)

    @cached_property
    def segmenter(self) -> Sam2Segmenter:
        """The segmenter with its weights."""
        return kept_segmenter(self.system.segmenter, self.device)

    @property
    def segmenter_side(self) -> int:
        """The side of the square that the segmenter sees, in pixels."""
        return self.segmenter.frame.width

    @property
    def batch(self) -> int:
        """The number of images that are asked together."""
        return self.system.generation.batch_size

    @property
    def tile(self) -> int:
        """The side of a tile that the prompter knows: its square, or twice the square of the embedded miniature."""
        side = self.prompter.frame.width
        return side if side >= SMALL_SQUARE else 2 * side

    def ask(self, images: Sequence[NDArray[np.uint8]], question: str) -> list[Reading]:
        """One answer per image."""
        return self._readings(images, question, self.system.generation)

    def sample(self, image: NDArray[np.uint8], question: str, count: int) -> list[Reading]:
        """Several sampled answers about one image. The same image and question give the same answers again."""
        settings = replace(self.system.generation, temperature=SAMPLING_TEMPERATURE)
        return self._readings([image] * count, question, settings)

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PromptObject]) -> list[ObjectMask]:
        """The mask of every prompt, in pixels of the image."""
        frame = Frame(image.shape[1], image.shape[0])
        embedding = kept_embeddings(self.segmenter).get(image)
        inference = self.system.recipe.inference
        objects = inference.prompts(prompts)
        if inference.negatives:
            more = (inference.negatives, inference.multimask)
            [objects] = with_mined_negatives(self.segmenter, embedding, [objects], frame, *more)
        sets = [[item] for item in objects]
        decoded = self.segmenter.decode(embedding, sets, frame, frame, inference.multimask)
        return [ObjectMask(item.mask, float(item.scores[0])) for item in decoded]

    def _readings(
        self, images: Sequence[NDArray[np.uint8]], question: str, settings: GenerationSettings
    ) -> list[Reading]:
        combination = PROMPT_COMBINATIONS[self.system.combination]
        readings = []
        for start in range(0, len(images), settings.batch_size):
            batch = images[start : start + settings.batch_size]
            completions = self.prompter.answer(batch, [question] * len(batch), combination, settings)
            readings += [self._reading(item.text, image) for item, image in zip(completions, batch, strict=True)]
        return readings

    def _reading(self, text: str, image: NDArray[np.uint8]) -> Reading:
        """What the training parser reads in a text, or what the parser of the reference protocol does if it cannot."""
        both = parse_both(text, PROMPT_COMBINATIONS[self.system.combination], self.prompter.answers)
        answer: Answer | FormatError = both.strict if isinstance(both.strict, Answer) else both.lax
        if isinstance(answer, FormatError):
            return Reading(text, fault=f"{answer.reason}: {answer.detail}")
        native = Frame(image.shape[1], image.shape[0])
        return Reading(text, answer.thought, answer.moved(self.prompter.answers, native).objects)
