"""How a method prompts the segmenter with the objects of an answer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from t2s_pipeline.vision.geometry import PromptObject


@dataclass(frozen=True)
class Inference:
    """How the segmenter is prompted with the objects of an answer; the mask is the union over them."""

    multimask: bool = False
    """Take the best-scored of SAM2's three masks, not its single-mask output."""
    box_centre: bool = False
    """Give each box its centre as a further positive point."""

    def prompts(self, objects: Iterable[PromptObject]) -> tuple[PromptObject, ...]:
        """The prompts for the segmenter, in the frame of the objects."""
        return tuple(map(_with_centre, objects)) if self.box_centre else tuple(objects)


def _with_centre(item: PromptObject) -> PromptObject:
    if item.bbox is None:
        return item
    x0, y0, x1, y1 = item.bbox
    return replace(item, positive_points=(*item.positive_points, ((x0 + x1) / 2, (y0 + y1) / 2)))
