"""What reward functions take and return, and two ways to build one from a judgement of a single text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from t2s_pipeline.pseudo_labels.label import Label

Completion = str | Sequence[Mapping[str, Any]]
"""What TRL passes: a text, or chat messages whose ``content`` is the text."""

RewardFunction = Callable[..., list[float | None]]
"""(completions, **columns of the training set) → one reward per completion; None abstains."""


def text_of(completion: Completion) -> str:
    """The completion's text, whichever form it has."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def by_text(judge: Callable[[str], float]) -> RewardFunction:
    """The reward function that judges each text by itself.

    Args:
        judge: gives the reward of one text, between 0 and 1.
    """

    def reward(completions: Sequence[Completion], **_: object) -> list[float | None]:
        return [judge(text_of(completion)) for completion in completions]

    return reward


def by_labels(judge: Callable[[str, Sequence[Label]], float]) -> RewardFunction:
    """The reward function that compares each text with the labels of its sample.

    The function that is returned takes ``completions`` and ``labels``: for each completion, the labels of its sample.

    Args:
        judge: gives the reward of one text and its sample's labels, between 0 and 1.
    """

    def reward(completions: Sequence[Completion], labels: Sequence[Sequence[Label]], **_: object) -> list[float | None]:
        return [judge(text_of(text), of_sample) for text, of_sample in zip(completions, labels, strict=True)]

    return reward
