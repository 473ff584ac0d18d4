"""How a method prompts the segmenter with the objects of an answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from t2s_pipeline.core.errors import InputError

MOST_NEGATIVES = 16


class BoxedPrompt(Protocol):
    """The prompts of an object, which may have a box: ``vision.geometry.PromptObject``."""

    def with_box_centre(self) -> Self:
        """The prompts with the centre of the box as a further positive point."""
        ...


Prompt = TypeVar("Prompt", bound=BoxedPrompt)


@dataclass(frozen=True)
class Inference:
    """How the segmenter is prompted with the objects of an answer; the mask is the union over them."""

    multimask: bool = False
    """Take the best-scored of SAM2's three masks, not its single-mask output."""
    box_centre: bool = False
    """Give each box its centre as a further positive point."""
    negatives: int = 0
    """The most negative points per object at places that look like the target (``segmenters.negatives``). They are
    kept for an object only if its mask then gets a higher score. 0: none, as in the paper. In evaluation only."""

    def __post_init__(self) -> None:
        """Check the number of negative points."""
        if not 0 <= self.negatives <= MOST_NEGATIVES:
            raise InputError(f"recipe.inference.negatives must lie between 0 and {MOST_NEGATIVES}.")

    def prompts(self, objects: Iterable[Prompt]) -> tuple[Prompt, ...]:
        """The prompts for the segmenter, in the frame of the objects."""
        return tuple(item.with_box_centre() for item in objects) if self.box_centre else tuple(objects)
