"""The reward functions of a recipe, ready for TRL. No torch: the segmenter is handed in."""

from typing import TYPE_CHECKING

from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.reward_weights import REWARDS
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.rewards import remote_reasoner, seg_zero, vision_reasoner
from t2s_pipeline.rewards.format import RewardFunction, format_reward, json_reward, tags_reward
from t2s_pipeline.rewards.mask_iou import OnFailure, mask_iou_reward
from t2s_pipeline.vision.geometry import Frame

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter


def reward_functions(
    recipe: Recipe, segmenter: "Sam2Segmenter | None", frame: Frame, on_failure: OnFailure | None = None
) -> list[RewardFunction]:
    """The parts of the recipe's reward, unweighted, in its order; each is named as its part.

    Args:
        segmenter: draws the masks that ``mask_iou`` judges, as the recipe's inference says; None if no part does.
        frame: what the coordinates of answers count in; by default the square that the prompter sees.
        on_failure: told when the segmenter fails.
    """
    combination, inference, repair = PROMPT_COMBINATIONS[recipe.combination], recipe.inference, recipe.repair
    how = (combination, frame, repair)
    known = {
        "format": lambda: format_reward(*how),
        "tags": lambda: tags_reward(combination, frame),
        "json": lambda: json_reward(*how),
        "mask_iou": lambda: mask_iou_reward(segmenter, *how, on_failure, inference.prompts, inference.multimask),
        "box_iou": lambda: seg_zero.box_iou_reward(*how),
        "box_l1": lambda: seg_zero.box_l1_reward(*how),
        "points": lambda: seg_zero.points_reward(*how),
        "answer_format": lambda: vision_reasoner.answer_format_reward(*how),
        "accuracy": lambda: vision_reasoner.accuracy_reward(*how),
        "non_repeat": vision_reasoner.non_repeat_reward,
        "matched_iou": lambda: remote_reasoner.matched_iou_reward(*how),
        "count": lambda: remote_reasoner.count_reward(*how),
    }
    return [known[name]() for name in REWARDS[recipe.reward].names]
