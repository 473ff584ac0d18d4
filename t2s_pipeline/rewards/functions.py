"""The parts of rewards by name, and the reward functions of a recipe, ready for TRL.

Nothing here imports torch: the segmenter is handed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from t2s_pipeline.core.registry import Registry
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.reward import REWARDS
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination
from t2s_pipeline.rewards import geometry, remote_reasoner, seg_zero, vision_reasoner
from t2s_pipeline.rewards.completions import RewardFunction
from t2s_pipeline.rewards.format import format_reward, tags_reward
from t2s_pipeline.rewards.mask_iou import MaskScores, OnFailure, iou_scores, mask_iou_reward
from t2s_pipeline.vision.geometry import Frame

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter


@dataclass(frozen=True)
class RewardContext:
    """What a part of a reward may use.

    Attributes:
        combination: the prompt combination that was asked for.
        frame: the frame of the answers' coordinates.
        repair: whether JSON that had to be repaired is accepted.
        inference: how the segmenter is prompted with an answer.
        segmenter: makes the masks that parts judge; None if no part needs it.
        on_failure: takes the number of completions and the reason when the segmenter fails.
    """

    combination: PromptCombination
    frame: Frame
    repair: bool
    inference: Inference
    segmenter: "Sam2Segmenter | None" = None
    on_failure: OnFailure | None = None

    def mask_reward(self, scores: MaskScores = iou_scores) -> RewardFunction:
        """The mask reward of the segmenter.

        Args:
            scores: judges the masks.

        Raises:
            ValueError: if there is no segmenter.
        """
        if self.segmenter is None:
            raise ValueError("A reward part that judges masks needs a segmenter.")
        inference = self.inference
        return mask_iou_reward(
            self.segmenter,
            self.combination,
            self.frame,
            self.repair,
            self.on_failure,
            inference.prompts,
            inference.multimask,
            scores,
        )


@dataclass(frozen=True)
class RewardPart:
    """A part of a reward: its name in ``Reward.parts`` and in logs, and what makes its function."""

    name: str
    function: Callable[[RewardContext], RewardFunction]


def _reading(build: Callable[[PromptCombination, Frame, bool], RewardFunction]) -> Callable[..., RewardFunction]:
    """For a function that needs to know only how an answer is read."""
    return lambda context: build(context.combination, context.frame, context.repair)


def _of_geometry(part: geometry.Part) -> Callable[[RewardContext], RewardFunction]:
    """For a part of the geometry-aware reward."""
    return lambda context: context.mask_reward(geometry.geometry_scores(part))


REWARD_PARTS: Registry[RewardPart] = Registry(
    "reward part",
    (
        RewardPart("format", _reading(format_reward)),
        RewardPart("tags", lambda context: tags_reward(context.combination, context.frame)),
        # The authors pay the form in two parts. The second is the whole of it, since it includes the tags.
        RewardPart("json", _reading(format_reward)),
        RewardPart("mask_iou", RewardContext.mask_reward),
        RewardPart("geometry", _of_geometry(geometry.geometry_score)),
        RewardPart("thin", _of_geometry(geometry.thin)),
        RewardPart("orientation", _of_geometry(geometry.orientation)),
        RewardPart("length_ratio", _of_geometry(geometry.length_ratio)),
        RewardPart("boundary", _of_geometry(geometry.boundary)),
        RewardPart("box_iou", _reading(seg_zero.box_iou_reward)),
        RewardPart("box_l1", _reading(seg_zero.box_l1_reward)),
        RewardPart("points", _reading(seg_zero.points_reward)),
        RewardPart("answer_format", _reading(vision_reasoner.answer_format_reward)),
        RewardPart("accuracy", _reading(vision_reasoner.accuracy_reward)),
        RewardPart("non_repeat", lambda _: vision_reasoner.non_repeat_reward()),
        RewardPart("matched_iou", _reading(remote_reasoner.matched_iou_reward)),
        RewardPart("count", _reading(remote_reasoner.count_reward)),
    ),
)
"""Every part of a reward, by name."""


def reward_functions(
    recipe: Recipe, segmenter: "Sam2Segmenter | None", frame: Frame, on_failure: OnFailure | None = None
) -> list[RewardFunction]:
    """The parts of the recipe's reward, unweighted, in its order; ``__name__`` of each is the name of its part.

    Args:
        recipe: names the reward and says how answers are read.
        segmenter: makes the masks that parts judge, as the recipe's inference says; None if no part needs it.
        frame: the frame of the answers' coordinates; usually the square that the prompter sees.
        on_failure: takes the number of completions and the reason when the segmenter fails.

    Raises:
        InputError: if the reward names a part that does not exist.
        ValueError: if a part needs a segmenter and there is none.
    """
    combination = PROMPT_COMBINATIONS[recipe.combination]
    context = RewardContext(combination, frame, recipe.repair, recipe.inference, segmenter, on_failure)
    functions = []
    for name in REWARDS[recipe.reward].names:
        function = REWARD_PARTS.named(name).function(context)
        # TRL logs a part under the name of its function.
        function.__name__ = name
        functions.append(function)
    return functions
