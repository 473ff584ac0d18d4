"""VisionReasoner's reward, up to 7: thinking 1 (``tags_reward``), answer format 2, accuracy 3, no repetition 1.

The functions give each part as a share of its most; the recipe weighs them. No torch.
"""

from collections.abc import Sequence

import numpy as np

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import MAX_OBJECTS
from t2s_pipeline.prompting.piecewise import read_piecewise
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.format import Completions, RewardFunction, text_of
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
MOST_POINT_DISTANCE = 30.0
PARTS_OF_A_PAIR = 3


def answer_format_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """Half of the mean over an answer's objects of valid box + valid point.

    An empty list is a valid way to say that there is no target, and is paid in full (our choice; a mean over no
    objects is not defined). Theirs takes any four numbers for a box; ours must be ordered and inside the image.
    """

    def answer_format(completions: Completions, **_: object) -> list[float | None]:
        return [judge(text_of(completion)) for completion in completions]

    def judge(text: str) -> float:
        objects = read_piecewise(text, combination, frame, repair)
        if objects is None:
            return 0.0
        if not objects:
            return 1.0
        return float(np.mean([(item.bbox is not None) + (len(item.positive_points) == 1) for item in objects])) / 2

    return answer_format


def accuracy_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """Objects matched with labels so that the sum of their scores is greatest, over the larger number of both.

    A pair scores a third each for box IoU above 0.5, box coordinates less than 10 pixels off on average, and a point
    less than 30 pixels from the label's and inside the predicted box. At most 120 objects of either side count. An
    empty list for an empty target earns 1; the authors' code gives it nothing, but EarthReason asks for it.
    """

    def accuracy(completions: Completions, labels: Sequence[Sequence[Label]], **_: object) -> list[float | None]:
        return [judge(text_of(text), own[:MAX_OBJECTS]) for text, own in zip(completions, labels, strict=True)]

    def judge(text: str, own: Sequence[Label]) -> float:
        objects = read_piecewise(text, combination, frame, repair)
        if objects is None:
            return 0.0
        if not objects or not own:
            return float(len(objects) == len(own))
        scores = _pair_scores(on_full_square(objects, frame), own)
        return matched_total(scores) / PARTS_OF_A_PAIR / max(len(objects), len(own))

    return accuracy


def _pair_scores(objects: Sequence[PromptObject], labels: Sequence[Label]) -> np.ndarray:
    """0 to 3, (objects, labels). What is missing in an object is NaN here, and no comparison with NaN holds."""
    boxes, wanted = box_array([item.bbox for item in objects]), label_boxes(labels)
    points = np.array([item.positive_points[0] if item.positive_points else (np.nan,) * 2 for item in objects])
    marks = np.array([label.points[0] for label in labels], float)
    distance = np.linalg.norm(points[:, None] - marks[None], axis=-1)
    inside = ((boxes[:, :2] <= points) & (points <= boxes[:, 2:])).all(axis=1)
    return (
        (pixel_iou(boxes, wanted) > LEAST_IOU).astype(float)
        + (mean_l1(boxes, wanted) < MOST_L1)
        + ((distance < MOST_POINT_DISTANCE) & inside[:, None])
    )


def non_repeat_reward() -> RewardFunction:
    """1, or 0 once two sentences of the response have been there before.

    Sentences are what full stops separate, white space at their ends aside; empty ones do not count.
    """

    def non_repeat(completions: Completions, **_: object) -> list[float | None]:
        return [float(_repetitions(text_of(completion)) < 2) for completion in completions]

    return non_repeat


def _repetitions(text: str) -> int:
    sentences = [sentence.strip() for sentence in text.split(".") if sentence.strip()]
    return len(sentences) - len(set(sentences))
