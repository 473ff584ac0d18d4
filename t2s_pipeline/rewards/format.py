"""Rewards for the form of an answer: its tags, its JSON, or both at once. No torch."""

from collections.abc import Callable, Sequence

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.vision.geometry import Frame

Completions = Sequence[str | list[dict]]
"""What TRL passes: texts, or chat messages whose ``content`` is the text."""

RewardFunction = Callable[..., list[float | None]]
"""(completions, **columns of the training set) → a reward each; None abstains."""


def text_of(completion: str | list[dict]) -> str:
    """The completion's text, whichever form it has."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


def format_reward(combination: PromptCombination, frame: Frame, repair: bool = True) -> RewardFunction:
    """R_format: 1 for an answer with the tags and the JSON that the combination asks for, else 0 (equation 3).

    Example:
        >>> from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
        >>> reward = format_reward(PROMPT_COMBINATIONS["bbox"], Frame.square(840))
        >>> reward(["<think>none here</think><answer>[]</answer>", "no idea"])
        [1.0, 0.0]
    """

    def format(completions: Completions, **_: object) -> list[float | None]:
        return [float(isinstance(parse(text_of(c), combination, frame, repair), Answer)) for c in completions]

    return format


def tags_reward(combination: PromptCombination, frame: Frame) -> RewardFunction:
    """1 for one think block followed by one answer block, whatever the answer holds (the authors' first part)."""

    def tags(completions: Completions, **_: object) -> list[float | None]:
        parsed = [parse(text_of(completion), combination, frame) for completion in completions]
        return [float(not isinstance(item, FormatError) or item.tags_ok) for item in parsed]

    return tags


def json_reward(combination: PromptCombination, frame: Frame, repair: bool = True) -> RewardFunction:
    """1 for an answer that holds what the combination asks for (the authors' second part).

    Without right tags there is no telling where the answer is, so this never pays where ``tags`` does not.
    """

    def json(completions: Completions, **_: object) -> list[float | None]:
        return [float(isinstance(parse(text_of(c), combination, frame, repair), Answer)) for c in completions]

    return json
