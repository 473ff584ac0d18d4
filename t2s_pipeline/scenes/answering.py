"""What a search needs of the models: texts about an image, and masks for prompts. The worker has the real ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision.geometry import PromptObject

Image = NDArray[np.uint8]
"""RGB, (rows, columns, 3)."""


@dataclass(frozen=True)
class Reading:
    """An answer about one image, after it was read.

    Attributes:
        text: as the prompter wrote it.
        thought: its reasoning.
        objects: the prompts, in pixels of the image; empty if there is no target.
        fault: why the text could not be read; empty if it could.
    """

    text: str
    thought: str = ""
    objects: tuple[PromptObject, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class ObjectMask:
    """The mask of one prompt, bool (rows, columns), and the segmenter's own estimate of its IoU."""

    mask: NDArray[np.bool_]
    score: float


class Answerer(Protocol):
    """A system that answers questions about images and segments prompts."""

    @property
    def segmenter_side(self) -> int:
        """The side of the square that the segmenter sees, in pixels."""

    @property
    def batch(self) -> int:
        """The number of images that are best asked together."""

    def ask(self, images: Sequence[Image], question: str) -> list[Reading]:
        """One answer per image."""

    def sample(self, image: Image, question: str, count: int) -> list[Reading]:
        """Several sampled answers about one image."""

    def segment(self, image: Image, prompts: Sequence[PromptObject]) -> list[ObjectMask]:
        """The mask of every prompt, in pixels of the image."""
