"""Recipes: which rewards a run adds up, and with which weights. No torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from t2s_pipeline.geometry import Frame
from t2s_pipeline.prompting.schemas import PromptSchema
from t2s_pipeline.rewards.format import RewardFunction, format_reward, json_reward, tags_reward
from t2s_pipeline.rewards.mask_iou import OnFailure, mask_iou_reward

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter


@dataclass(frozen=True)
class Recipe:
    """R = Σ weight × part; ``parts`` are (name, weight), and the names are those of the reward functions."""

    name: str
    parts: tuple[tuple[str, float], ...]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.parts]

    @property
    def weights(self) -> list[float]:
        return [weight for _, weight in self.parts]

    @property
    def valid_part(self) -> str:
        """The part whose mean over completions is the share that parses."""
        return "format" if "format" in self.names else "json"

    @property
    def maximum(self) -> float:
        """What a perfect answer earns."""
        return sum(self.weights)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Equation 3 with λ1 = 1 and λ2 = 2.
        Recipe("paper", (("format", 1.0), ("mask_iou", 2.0))),
        # The authors' code pays the form in two unit parts.
        Recipe("reference", (("tags", 1.0), ("json", 1.0), ("mask_iou", 2.0))),
    )
}


def reward_functions(
    recipe: Recipe,
    segmenter: "Sam2Segmenter",
    schema: PromptSchema,
    frame: Frame,
    repair: bool = True,
    on_failure: OnFailure | None = None,
) -> list[RewardFunction]:
    """The recipe's functions, unweighted, in its order."""
    known = {
        "format": lambda: format_reward(schema, frame, repair),
        "tags": lambda: tags_reward(schema, frame),
        "json": lambda: json_reward(schema, frame, repair),
        "mask_iou": lambda: mask_iou_reward(segmenter, schema, frame, repair, on_failure),
    }
    return [known[name]() for name in recipe.names]
