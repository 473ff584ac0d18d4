"""Answering in two turns: the prompter sees its own mask drawn into the picture, and keeps or corrects its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.evaluation.segment import segment_texts
from t2s_pipeline.evaluation.windows import Item
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.second_look import second_question
from t2s_pipeline.segmenters.load import kept_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.second_look import marked


class Answering(Protocol):
    """What answers questions about images: a prompter, or a prompter that looks twice."""

    def answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """One completion per question, as ``Chat.answer``."""
        ...


@dataclass(frozen=True)
class SecondLook:
    """A prompter that answers twice. Its second answer counts.

    Attributes:
        prompter: answers both times.
        segmenter: makes the masks of the first answers.
        system: says how it is prompted.
    """

    prompter: Chat
    segmenter: Sam2Segmenter
    system: System

    def answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """The second completion of each question; tokens and seconds are those of both turns.

        Args:
            images: the prompter's squares, uint8 (S, S, 3), one per question.
            questions: the questions.
            combination: the prompts that an answer holds.
            settings: how the completions are sampled.
        """
        first = self.prompter.answer(images, questions, combination, settings)
        pictures = [
            marked(image, self._mask(image, completion.text, combination))
            for image, completion in zip(images, first, strict=True)
        ]
        second = self.prompter.answer(pictures, [second_question(text) for text in questions], combination, settings)
        return [
            replace(later, tokens=later.tokens + former.tokens, seconds=later.seconds + former.seconds)
            for former, later in zip(first, second, strict=True)
        ]

    def _mask(self, square: NDArray[np.uint8], text: str, combination: PromptCombination) -> NDArray[np.bool_]:
        """The mask of an answer on the square, bool (S, S); empty if it could not be read."""
        inference = self.system.recipe.inference
        frames = self.prompter.frame, self.prompter.answers
        [prediction] = segment_texts(self.segmenter, square, [Item("", 0, text)], combination, *frames, inference)
        if prediction.mask is None:
            return np.zeros(square.shape[:2], bool)
        return masks.decode(prediction.mask)


def second_look(prompter: Chat, system: System, device: str) -> SecondLook:
    """A system's prompter that looks twice, with the system's segmenter on a torch device."""
    return SecondLook(prompter, kept_segmenter(system.segmenter, device), system)
