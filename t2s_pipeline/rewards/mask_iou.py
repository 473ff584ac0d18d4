"""The mask reward: how much of the truth the frozen segmenter finds from a completion's prompts.

The image of a group is encoded once and the prompts of all its completions are decoded together. Nothing
here imports torch: the segmenter is handed in.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import FormatError, parse
from t2s_pipeline.rewards.format import Completions, RewardFunction, text_of
from t2s_pipeline.vision.geometry import Frame, PromptObject

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Embedding, Sam2Segmenter

OnFailure = Callable[[int, str], None]
"""Told when the segmenter failed: how many completions get no reward for it, and why."""

Feed = Callable[[tuple[PromptObject, ...]], tuple[PromptObject, ...]]


@dataclass(frozen=True)
class _Open:
    """A completion that only the segmenter can judge: its place in the batch and its prompts."""

    index: int
    prompts: tuple[PromptObject, ...]


def mask_iou_reward(
    segmenter: "Sam2Segmenter",
    combination: PromptCombination,
    frame: Frame,
    repair: bool = True,
    on_failure: OnFailure | None = None,
    feed: Feed = tuple,
    multimask: bool = False,
) -> RewardFunction:
    """R_IoU: intersection over union of the union of the drawn masks with the truth (equation 3).

    An answer that does not parse earns 0. If the truth is empty, an empty list earns 1 and anything else 0.
    Where the segmenter itself fails (out of memory, a device error), the completions it could not draw
    abstain: None, never 0, because the prompter is not to blame.

    Args:
        feed: from an answer's objects to the segmenter's prompts, as ``Inference.prompts``.
        multimask: as ``Inference.multimask``.

    The function that is returned takes, one each per completion:
        completions: texts or TRL's chat messages.
        image_key: equal for completions of one image.
        truth_key: equal for completions of one image and one truth.
        square: the image (S, S, 3), uint8, as the prompter sees it.
        truth: the ground truth (S, S), bool, at the same size.
    """

    def mask_iou(
        completions: Completions,
        image_key: Sequence[Hashable],
        truth_key: Sequence[Hashable],
        square: Sequence[np.ndarray],
        truth: Sequence[np.ndarray],
        **_: object,
    ) -> list[float | None]:
        rewards: list[float | None] = [0.0] * len(completions)
        pending: dict[Hashable, dict[Hashable, list[_Open]]] = {}
        for index, completion in enumerate(completions):
            answer = parse(text_of(completion), combination, frame, repair)
            if isinstance(answer, FormatError):
                continue
            if not truth[index].any():
                rewards[index] = float(not answer.objects)
            elif answer.objects:
                group = pending.setdefault(image_key[index], {}).setdefault(truth_key[index], [])
                group.append(_Open(index, feed(answer.objects)))
        for groups in pending.values():
            first = next(iter(groups.values()))[0].index
            try:
                embedding = segmenter.encode(square[first])
            except RuntimeError as fault:  # torch's, among them its out-of-memory error
                members = [item for group in groups.values() for item in group]
                _abstain(rewards, members, fault, on_failure)
                continue
            for group in groups.values():
                _judge(segmenter, embedding, group, truth[group[0].index], frame, rewards, on_failure, multimask)
        return rewards

    return mask_iou


def _judge(
    segmenter: "Sam2Segmenter",
    embedding: "Embedding",
    group: list[_Open],
    truth: np.ndarray,
    frame: Frame,
    rewards: list[float | None],
    on_failure: OnFailure | None,
    multimask: bool,
) -> None:
    """Fill in the rewards of completions that share image and truth; halve the call where it fails."""
    try:
        overlaps = segmenter.overlap(embedding, [item.prompts for item in group], truth, frame, multimask)
    except RuntimeError as fault:
        if len(group) == 1:
            _abstain(rewards, group, fault, on_failure)
            return
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            _judge(segmenter, embedding, half, truth, frame, rewards, on_failure, multimask)
        return
    for item, (intersection, union) in zip(group, overlaps, strict=True):
        rewards[item.index] = intersection / union


def _abstain(
    rewards: list[float | None], group: list[_Open], fault: RuntimeError, on_failure: OnFailure | None
) -> None:
    for item in group:
        rewards[item.index] = None
    if on_failure is not None:
        first_line = (str(fault).splitlines() or [""])[0]
        on_failure(len(group), f"{type(fault).__name__}: {first_line}")
