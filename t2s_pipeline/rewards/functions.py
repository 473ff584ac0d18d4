"""The reward functions of a recipe, ready for TRL. No torch: the segmenter is handed in."""

from typing import TYPE_CHECKING

from t2s_pipeline.geometry import Frame
from t2s_pipeline.prompting.schemas import SCHEMAS
from t2s_pipeline.recipes import Recipe
from t2s_pipeline.rewards.format import RewardFunction, format_reward, json_reward, tags_reward
from t2s_pipeline.rewards.mask_iou import OnFailure, mask_iou_reward
from t2s_pipeline.rewards.recipes import REWARDS

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter


def reward_functions(
    recipe: Recipe, segmenter: "Sam2Segmenter", frame: Frame, on_failure: OnFailure | None = None
) -> list[RewardFunction]:
    """The parts of the recipe's reward, unweighted, in its order; each is named as its part.

    Args:
        segmenter: draws the masks that ``mask_iou`` judges, as the recipe's inference says.
        frame: what the coordinates of answers count in; by default the square that the prompter sees.
        on_failure: told when the segmenter fails.
    """
    schema, inference, repair = SCHEMAS[recipe.schema], recipe.inference, recipe.repair
    known = {
        "format": lambda: format_reward(schema, frame, repair),
        "tags": lambda: tags_reward(schema, frame),
        "json": lambda: json_reward(schema, frame, repair),
        "mask_iou": lambda: mask_iou_reward(
            segmenter, schema, frame, repair, on_failure, inference.prompts, inference.multimask
        ),
    }
    return [known[name]() for name in REWARDS[recipe.reward].names]
