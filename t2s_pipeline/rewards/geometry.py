"""The geometry-aware reward: what the overlap of two masks does not say about long and thin targets.

Each part is a plain function of two measured masks and gives a number between 0 and 1. For compact targets the reward
is the plain mask reward (``geometry_score``).
"""

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from t2s_pipeline.rewards.mask_iou import MaskScores, PromptGroup
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame
from t2s_pipeline.vision.shape import axis, length, reduced, skeleton
from t2s_pipeline.vision.target_shape import shape_of

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

Mask = npt.NDArray[np.bool_]

BOUNDARY_SHARE = 0.02
"""The breadth of a boundary as a share of the image's diagonal (Boundary IoU's own choice)."""
KEPT_PIXELS = 50_000_000
"""The most pixels of true masks whose measures are kept: 70 truths of 840², all 1,200 of the miniature's 168²."""


class Measured:
    """A mask, bool (H, W), with what the parts need of it. Each measure is made once, when it is first asked for."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask

    @cached_property
    def small(self) -> Mask:
        """The mask reduced for its skeleton and its length (``vision.shape.reduced``)."""
        return reduced(self.mask)

    @cached_property
    def lines(self) -> Mask:
        """The skeleton of ``small``."""
        return skeleton(self.small)

    @cached_property
    def length(self) -> float:
        """The length of ``small``, in its pixels (``vision.shape.length``)."""
        return length(self.small)

    @cached_property
    def axis(self) -> tuple[float, float]:
        """As ``vision.shape.axis``."""
        return axis(self.mask)

    @cached_property
    def rim(self) -> Mask:
        """As ``rim``."""
        return rim(self.mask)

    @cached_property
    def weight(self) -> float:
        """How slender the target is, from 0 to 1 (``TargetShape.slender_share``); 0 for an empty mask."""
        shape = shape_of(self.mask)
        return shape.slender_share if shape else 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there is no target."""
        return not self.mask.any()


Part = Callable[[Measured, Measured], float]
"""A part of the reward: a function of the mask of an answer and of the truth, with values between 0 and 1."""


def thin(answer: Measured, truth: Measured) -> float:
    """clDice: do the centre lines of both masks lie on each other's masks?

    ``2 · Tprec · Tsens / (Tprec + Tsens)`` with ``Tprec = |S(P) ∩ T| / |S(P)|`` and ``Tsens = |S(T) ∩ P| / |S(T)|``,
    where S is the skeleton, P the mask and T the truth. 0 if one of them is empty.

    Source: Shit et al., CVPR 2021, equations 1 and 2.
    """
    on_truth = np.count_nonzero(answer.lines & truth.small)
    on_answer = np.count_nonzero(truth.lines & answer.small)
    if not on_truth or not on_answer:
        return 0.0
    precision = on_truth / np.count_nonzero(answer.lines)
    sensitivity = on_answer / np.count_nonzero(truth.lines)
    return float(2 * precision * sensitivity / (precision + sensitivity))


def orientation(answer: Measured, truth: Measured) -> float:
    """Do both masks lie along the same direction?

    ``1 − e · sin²(θ_P − θ_T)``, where θ is the direction of the long axis by second moments, and e the elongation of
    the truth, (λ₁ − λ₂) / (λ₁ + λ₂). So a round truth has no wrong direction. A mask without a direction of its own
    (a disc) counts as 45° off. 0 if one of them is empty.
    """
    if answer.is_empty or truth.is_empty:
        return 0.0
    (x, y), (true_x, true_y) = answer.axis, truth.axis
    elongation = float(np.hypot(true_x, true_y))
    lengths = elongation * float(np.hypot(x, y))
    # The vectors point to twice the angles: cos 2Δ = 1 − 2 sin² Δ.
    cosine = (x * true_x + y * true_y) / lengths if lengths > 1e-12 else 0.0
    return 1 - elongation * (1 - max(-1.0, min(1.0, cosine))) / 2


def length_ratio(answer: Measured, truth: Measured) -> float:
    """Are both masks of the same length? ``min(L_P, L_T) / max(L_P, L_T)``, L as ``vision.shape.length``.

    0 if one of them is empty.
    """
    shorter, longer = sorted((answer.length, truth.length))
    return shorter / longer if longer else 0.0


def boundary(answer: Measured, truth: Measured) -> float:
    """Boundary IoU: the IoU of the pixels near the borders of both masks (``rim``); 0 if one mask is empty.

    Source: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021, equation 1.
    """
    intersection, union = masks.intersection_union(answer.rim, truth.rim)
    return intersection / union if union else 0.0


def rim(mask: Mask) -> Mask:
    """The pixels of a mask (H, W) whose distance from its border is at most d, as in Boundary IoU's code.

    d is ``BOUNDARY_SHARE`` of the image's diagonal, at least 1 pixel. The mask is eroded d times by the square of nine
    pixels, which is once by the square of 2d + 1. The border of the image is a border of the mask.
    """
    breadth = max(1, round(BOUNDARY_SHARE * float(np.hypot(*mask.shape))))
    neighbourhood = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * breadth + 1, 2 * breadth + 1))
    pixels = mask.astype(np.uint8, order="C")
    inner = cv2.erode(pixels, neighbourhood, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    # The erosion is part of the mask.
    near: Mask = (pixels - inner).astype(bool)
    return near


def geometry_score(answer: Measured, truth: Measured) -> float:
    """``(1 − s) · IoU + s · (IoU + thin + orientation + length_ratio + boundary) / 5``.

    s is the weight of the truth: 0 for a compact target, which keeps the plain mask reward, and 1 for a slender one.
    The truth itself has the score 1.
    """
    intersection, union = masks.intersection_union(answer.mask, truth.mask)
    iou = intersection / union if union else 1.0
    if not truth.weight:
        return iou
    parts = (iou, *(part(answer, truth) for part in (thin, orientation, length_ratio, boundary)))
    return (1 - truth.weight) * iou + truth.weight * sum(parts) / len(parts)


def geometry_scores(part: Part) -> MaskScores:
    """The judge of a mask reward that gives each mask the value of ``part``.

    A truth is measured once for all completions of its group, and kept for the later passes over the samples as far as
    ``KEPT_PIXELS`` allows. Equal answers are judged once.

    Args:
        part: one of the functions above.
    """
    truths: dict[Hashable, Measured] = {}

    def scores(segmenter: "Sam2Segmenter", group: PromptGroup) -> list[float]:
        if group.truth_key not in truths:
            if len(truths) >= max(1, KEPT_PIXELS // group.truth.size):
                truths.pop(next(iter(truths)))
            truths[group.truth_key] = Measured(group.truth)
        truth = truths[group.truth_key]
        distinct = list(dict.fromkeys(group.prompts))
        decoded = segmenter.decode(
            group.embedding,
            distinct,
            group.frame,
            Frame(width=group.truth.shape[1], height=group.truth.shape[0]),
            group.multimask,
        )
        values = {prompts: part(Measured(item.mask), truth) for prompts, item in zip(distinct, decoded, strict=True)}
        return [values[prompts] for prompts in group.prompts]

    return scores
