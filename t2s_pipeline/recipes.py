"""Recipes: everything in which one method differs from another, as one declarative object each. No torch.

What a prompter is asked for (answer schema), what its answer earns (reward), which labels the reward compares it
with, and how the segmenter is asked at inference. There is one trainer and one evaluator; they read the recipe.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from t2s_pipeline.errors import InputError
from t2s_pipeline.geometry import PromptObject
from t2s_pipeline.prompting.coordinates import CHOICES
from t2s_pipeline.prompting.schemas import DEFAULT_SCHEMA, SCHEMAS
from t2s_pipeline.rewards.recipes import REWARDS


@dataclass(frozen=True)
class Inference:
    """How the segmenter is asked for the objects of an answer; the mask is the union over them."""

    multimask: bool = False
    """Take the best-scored of SAM2's three masks, not its single-mask output."""
    box_centre: bool = False
    """Give each box its centre as a further positive point."""

    def prompts(self, objects: Iterable[PromptObject]) -> tuple[PromptObject, ...]:
        """What the segmenter is fed for the objects of an answer, in their frame."""
        return tuple(map(_with_centre, objects)) if self.box_centre else tuple(objects)


def _with_centre(item: PromptObject) -> PromptObject:
    if item.bbox is None:
        return item
    x0, y0, x1, y1 = item.bbox
    return replace(item, positive_points=(*item.positive_points, ((x0 + x1) / 2, (y0 + y1) / 2)))


@dataclass(frozen=True)
class Recipe:
    """A method: labels, answer schema, reward, inference.

    Raises:
        InputError: for a schema, reward or labelling that does not exist, or a reward without the labels it needs.
    """

    schema: str = DEFAULT_SCHEMA
    """One of ``SCHEMAS``: what an answer looks like."""
    reward: str = "paper"
    """One of ``REWARDS``: what an answer earns."""
    labels: str = ""
    """Pseudo-labels that the reward compares an answer with; empty for the mask itself."""
    coordinates: str = "pixels"
    """``pixels`` of the square the prompter sees, or ``native``: what its family was trained to write."""
    repair: bool = True
    """Whether the reward accepts JSON that had to be repaired, as the authors' does."""
    inference: Inference = field(default_factory=Inference)

    def __post_init__(self) -> None:
        for what, value, known in (
            ("Prompt schema", self.schema, SCHEMAS),
            ("Reward", self.reward, REWARDS),
            ("Coordinates", self.coordinates, CHOICES),
        ):
            if value not in known:
                raise InputError(f"{what} {value!r} is none of {', '.join(filter(None, known))}.")
        reward = REWARDS[self.reward]
        if reward.needs_labels and not self.labels:
            raise InputError(f"The reward {self.reward!r} compares answers with labels: name some in recipe.labels.")
        if reward.schema and reward.schema != self.schema:
            raise InputError(f"The reward {self.reward!r} reads answers in the schema {reward.schema!r} only.")

    @classmethod
    def from_json(cls, value: dict) -> "Recipe":
        """The inverse of ``dataclasses.asdict``."""
        return cls(**{**value, "inference": Inference(**value["inference"])})


THINK2SEG = Recipe()
"""Think2Seg-RS: the mask itself is the reward; box and points in one call, single-mask output."""
