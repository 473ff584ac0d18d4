"""Seg-Zero's reward: five unit parts. No torch.

The first, ``thinking``, is ``tags_reward``; the second, ``answer``, is ``json_reward`` without repair. Those here
compare with the one label of the sample; where there is none (an empty target, which Seg-Zero cannot name), or where
the answer does not parse, they are 0. Our parser also wants the box ordered and everything inside the image.
"""

from collections.abc import Callable, Sequence

import numpy as np

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.format import Completions, RewardFunction, text_of
from t2s_pipeline.rewards.matching import box_array, label_boxes, mean_l1, on_full_square, pixel_iou
from t2s_pipeline.vision.geometry import Frame, Point, PromptObject

LEAST_IOU = 0.5
MOST_L1 = 10.0
MOST_POINT_DISTANCE = 100.0


def box_iou_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """1 for a box whose IoU with the label's is above 0.5, both taken as pixels."""

    def near(item: PromptObject, label: Label) -> bool:
        return bool(pixel_iou(box_array([item.bbox]), label_boxes([label]))[0, 0] > LEAST_IOU)

    return _compared("box_iou", near, combination, frame, repair)


def box_l1_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """1 for a box whose coordinates differ from the label's by less than 10 pixels of the square of 840 on average."""

    def near(item: PromptObject, label: Label) -> bool:
        return bool(mean_l1(box_array([item.bbox]), label_boxes([label]))[0, 0] < MOST_L1)

    return _compared("box_l1", near, combination, frame, repair)


def points_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """1 for two points inside the predicted box, less than 100 pixels from the label's.

    The distance is the mean of the two, under whichever pairing makes it smaller.
    """

    def near(item: PromptObject, label: Label) -> bool:
        if not all(inside(point, item) for point in item.positive_points):
            return False
        (a, b), (one, other) = item.positive_points, label.points
        straight, crossed = (np.hypot(*_less(a, p)) + np.hypot(*_less(b, q)) for p, q in ((one, other), (other, one)))
        return bool(min(straight, crossed) / 2 < MOST_POINT_DISTANCE)

    return _compared("points", near, combination, frame, repair)


def inside(point: Point, item: PromptObject) -> bool:
    """Whether a point lies in the object's box, its rim included."""
    x0, y0, x1, y1 = item.bbox
    return x0 <= point[0] <= x1 and y0 <= point[1] <= y1


def _less(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1]


def _compared(
    name: str, near: Callable[[PromptObject, Label], bool], combination: PromptCombination, frame: Frame, repair: bool
) -> RewardFunction:
    """(completions, labels: the sample's labels for each of them) → 1 or 0 each."""

    def reward(completions: Completions, labels: Sequence[Sequence[Label]], **_: object) -> list[float | None]:
        return [float(judge(text_of(text), own)) for text, own in zip(completions, labels, strict=True)]

    def judge(text: str, own: Sequence[Label]) -> bool:
        answer = parse(text, combination, frame, repair)
        if not own or not isinstance(answer, Answer):
            return False
        [item] = on_full_square(answer.objects, frame)
        return near(item, own[0])

    reward.__name__ = name
    return reward
