"""How a method prompts the segmenter with the objects of an answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar


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

    def prompts(self, objects: Iterable[Prompt]) -> tuple[Prompt, ...]:
        """The prompts for the segmenter, in the frame of the objects."""
        return tuple(item.with_box_centre() for item in objects) if self.box_centre else tuple(objects)
