"""The mask reward: the overlap of the truth with what the frozen segmenter makes of a completion's prompts.

The image of a group is encoded once and the prompts of all its completions are decoded together. Nothing
here imports torch: the segmenter is handed in.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import FormatError, parse
from t2s_pipeline.pseudo_labels.label import Mask
from t2s_pipeline.rewards.completions import Completion, RewardFunction, text_of
from t2s_pipeline.vision.geometry import Box, Frame, PromptObject, box_iou

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.embedding import Embedding
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

OnFailure = Callable[[int, str], None]
"""Called when the segmenter failed, with the number of completions that get no reward for it, and the reason."""

ToPrompts = Callable[[tuple[PromptObject, ...]], tuple[PromptObject, ...]]
"""From the objects of an answer to the prompts of the segmenter, as ``Inference.prompts``."""


@dataclass(frozen=True)
class _Pending:
    """A completion that only the segmenter can judge: its index in the batch and its prompts."""

    index: int
    prompts: tuple[PromptObject, ...]


@dataclass(frozen=True)
class PromptGroup:
    """The prompts of completions that share an image and a truth.

    Attributes:
        embedding: the encoded image.
        prompts: the prompts of each completion, in pixels of ``frame``.
        frame: the frame of their coordinates.
        truth: bool (S, S); it has a target.
        truth_key: equal for equal truths.
        multimask: as ``Inference.multimask``.
    """

    embedding: "Embedding"
    prompts: list[tuple[PromptObject, ...]]
    frame: Frame
    truth: Mask
    truth_key: Hashable
    multimask: bool


MaskScores = Callable[["Sam2Segmenter", PromptGroup], list[float]]
"""Judges the masks that the segmenter makes of a group: one number between 0 and 1 per completion."""


def iou_scores(segmenter: "Sam2Segmenter", group: PromptGroup) -> list[float]:
    """The IoU of each mask with the truth. No mask leaves the segmenter's device."""
    overlaps = segmenter.overlap(group.embedding, group.prompts, group.truth, group.frame, group.multimask)
    return [intersection / union for intersection, union in overlaps]


def mask_iou_reward(
    segmenter: "Sam2Segmenter",
    combination: PromptCombination,
    frame: Frame,
    repair: bool = True,
    on_failure: OnFailure | None = None,
    to_prompts: ToPrompts = tuple,
    multimask: bool = False,
    scores: MaskScores = iou_scores,
) -> RewardFunction:
    """R_IoU: intersection over union of the truth with the union of the segmented masks (equation 3).

    An answer that does not parse earns 0. If the truth is empty, an empty list earns 1 and anything else 0. Where the
    segmenter itself fails, the completions that it could not segment abstain: None and not 0.

    Args:
        segmenter: makes the masks.
        combination: the prompt combination that was asked for.
        frame: the frame of the answers' coordinates.
        repair: whether JSON that had to be repaired is accepted.
        on_failure: takes the number of completions and the reason when the segmenter fails.
        to_prompts: as ``Inference.prompts``.
        multimask: as ``Inference.multimask``.
        scores: judges a mask. Another judge gives another reward with the same rules.

    Returns:
        A function of sequences with one item per completion:
            completions: texts or TRL's chat messages.
            image_key, truth_key: equal for completions of one image, and of one image and one truth.
            square: the image (S, S, 3), uint8, as the prompter sees it.
            truth: the ground truth (S, S), bool, at the same size.
            label_box: the box of a referring sample, in ``frame``, compared in place of the truth; None for others.
    """

    def mask_iou(
        completions: Sequence[Completion],
        image_key: Sequence[Hashable],
        truth_key: Sequence[Hashable],
        square: Sequence[npt.NDArray[np.uint8]],
        truth: Sequence[Mask],
        label_box: Sequence[Box | None] | None = None,
        **_: object,
    ) -> list[float | None]:
        batch = _Batch(segmenter, frame, multimask, scores, on_failure, [0.0] * len(completions))
        by_image: dict[Hashable, dict[Hashable, list[_Pending]]] = defaultdict(lambda: defaultdict(list))
        for index, completion in enumerate(completions):
            answer = parse(text_of(completion), combination, frame, repair)
            if isinstance(answer, FormatError):
                continue
            if label_box and (box := label_box[index]) is not None:
                batch.rewards[index] = one_box_score(answer.objects, box)
            elif not truth[index].any():
                batch.rewards[index] = float(not answer.objects)
            elif answer.objects:
                by_image[image_key[index]][truth_key[index]].append(_Pending(index, to_prompts(answer.objects)))
        for groups in by_image.values():
            batch.judge_image(square, truth, groups)
        return batch.rewards

    return mask_iou


def one_box_score(objects: Sequence[PromptObject], label: Box) -> float:
    """How well an answer names one object: the best IoU of its boxes with the label, divided by the number of objects.

    Boxes are continuous rectangles. Naming several objects where one is meant costs as much as it helps to find it.
    """
    overlaps = [box_iou(item.bbox, label) for item in objects if item.bbox is not None]
    return max(overlaps, default=0.0) / max(1, len(objects))


@dataclass(frozen=True)
class _Batch:
    """The rewards of a batch while the segmenter fills them in."""

    segmenter: "Sam2Segmenter"
    frame: Frame
    multimask: bool
    scores: MaskScores
    on_failure: OnFailure | None
    rewards: list[float | None]

    def judge_image(
        self,
        square: Sequence[npt.NDArray[np.uint8]],
        truth: Sequence[Mask],
        groups: Mapping[Hashable, list[_Pending]],
    ) -> None:
        """Fill in the rewards of completions that share an image; each group shares a truth as well."""
        first = next(iter(groups.values()))[0]
        try:
            embedding = self.segmenter.encode(square[first.index])
        except RuntimeError as fault:  # Torch raises this, also when it is out of memory.
            self._abstain([item for group in groups.values() for item in group], fault)
            return
        for truth_key, items in groups.items():
            group = PromptGroup(embedding, [], self.frame, truth[items[0].index], truth_key, self.multimask)
            self._judge(group, items)

    def _judge(self, group: PromptGroup, items: list[_Pending]) -> None:
        """Fill in the rewards of completions that share image and truth; halve the call where it fails."""
        try:
            scores = self.scores(self.segmenter, replace(group, prompts=[item.prompts for item in items]))
        except RuntimeError as fault:
            if len(items) == 1:
                self._abstain(items, fault)
                return
            middle = len(items) // 2
            self._judge(group, items[:middle])
            self._judge(group, items[middle:])
            return
        for item, score in zip(items, scores, strict=True):
            self.rewards[item.index] = score

    def _abstain(self, group: list[_Pending], fault: RuntimeError) -> None:
        for item in group:
            self.rewards[item.index] = None
        if self.on_failure is not None:
            first_line = (str(fault).splitlines() or [""])[0]
            self.on_failure(len(group), f"{type(fault).__name__}: {first_line}")
