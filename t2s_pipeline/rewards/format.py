"""Rewards for the form of an answer: for its tags, or for all of it."""

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.rewards.completions import RewardFunction, by_text
from t2s_pipeline.vision.geometry import Frame


def format_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """R_format: 1 for an answer with the tags and the JSON that the combination asks for, else 0 (equation 3).

    It is also the second part of the authors' reward, ``json``. Without right tags nobody can tell where the answer
    is, so this never pays where ``tags_reward`` does not.

    Example:
        >>> from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
        >>> reward = format_reward(PROMPT_COMBINATIONS["bbox"], Frame.square(840), repair=True)
        >>> reward(["<think>none here</think><answer>[]</answer>", "no idea"])
        [1.0, 0.0]

    Args:
        combination: the prompt combination that was asked for.
        frame: the frame of the answers' coordinates.
        repair: whether JSON that had to be repaired earns the reward as well.
    """
    return by_text(lambda text: float(isinstance(parse(text, combination, frame, repair), Answer)))


def tags_reward(combination: PromptCombination, frame: Frame) -> RewardFunction:
    """1 for one think block followed by one answer block, whatever the answer holds (the authors' first part)."""

    def judge(text: str) -> float:
        answer = parse(text, combination, frame)
        return float(not isinstance(answer, FormatError) or answer.tags_ok)

    return by_text(judge)
