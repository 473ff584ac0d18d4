"""VisionReasoner's reward, up to 7: thinking 1 (``tags_reward``), answer format 2, accuracy 3, no repetition 1.

The functions give each part as a share of its maximum; the reward's weights scale them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.elements import MAX_OBJECTS
from t2s_pipeline.prompting.piecewise import read_piecewise
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.completions import RewardFunction, by_labels, by_text
from t2s_pipeline.rewards.matching import (
    box_array,
    label_boxes,
    matched_total,
    mean_l1,
    on_full_square,
    pixel_iou,
)
from t2s_pipeline.vision.geometry import Frame, PromptObject

LEAST_IOU = 0.5
MOST_L1 = 10.0
"""Pixels of the square of 840."""
MOST_POINT_DISTANCE = 30.0
"""Pixels of the square of 840."""
PARTS_OF_A_PAIR = 3


def answer_format_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """Half of the mean over an answer's objects of valid box + valid point.

    An empty list is a valid way to say that there is no target, and earns 1 (our choice; a mean over no objects is
    not defined). The authors' code takes any four numbers for a box; our boxes must be ordered and inside the image.
    """

    def judge(text: str) -> float:
        objects = read_piecewise(text, combination, frame, repair)
        if objects is None:
            return 0.0
        if not objects:
            return 1.0
        return float(np.mean([(item.bbox is not None) + (len(item.positive_points) == 1) for item in objects])) / 2

    return by_text(judge)


def accuracy_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """The greatest sum of scores of objects matched with labels, divided by the larger number of the two.

    A pair scores a third each for box IoU above 0.5, box coordinates less than 10 pixels off on average, and a point
    less than 30 pixels from the label's and inside the predicted box. At most 120 objects and 120 labels count. An
    empty list for an empty target earns 1: the authors' code gives it nothing, but EarthReason asks for it.
    """

    def judge(text: str, labels: Sequence[Label]) -> float:
        labels = labels[:MAX_OBJECTS]
        objects = read_piecewise(text, combination, frame, repair)
        if objects is None:
            return 0.0
        if not objects or not labels:
            return float(len(objects) == len(labels))
        scores = _pair_scores(on_full_square(objects, frame), labels)
        return matched_total(scores) / PARTS_OF_A_PAIR / max(len(objects), len(labels))

    return by_labels(judge)


def _pair_scores(objects: Sequence[PromptObject], labels: Sequence[Label]) -> npt.NDArray[np.float64]:
    """0 to 3, (objects, labels). A missing box or point is NaN here, and no comparison with NaN holds."""
    boxes, true_boxes = box_array([item.bbox for item in objects]), label_boxes(labels)
    points = np.array([item.positive_points[0] if item.positive_points else (np.nan,) * 2 for item in objects])
    true_points = np.array([label.points[0] for label in labels], float)
    distance = np.linalg.norm(points[:, None] - true_points[None], axis=-1)
    inside = np.asarray(((boxes[:, :2] <= points) & (points <= boxes[:, 2:])).all(axis=1))
    scores: npt.NDArray[np.float64] = (
        (pixel_iou(boxes, true_boxes) > LEAST_IOU).astype(float)
        + (mean_l1(boxes, true_boxes) < MOST_L1)
        + ((distance < MOST_POINT_DISTANCE) & inside[:, None])
    )
    return scores


def non_repeat_reward() -> RewardFunction:
    """1, or 0 if at least two sentences of the response repeat earlier ones.

    Full stops separate sentences. White space at their ends does not matter, and empty sentences do not count.
    """
    return by_text(lambda text: float(_repetitions(text) < 2))


def _repetitions(text: str) -> int:
    sentences = [sentence.strip() for sentence in text.split(".") if sentence.strip()]
    return len(sentences) - len(set(sentences))
