"""Seg-Zero's reward: five unit parts.

The first, ``thinking``, is ``tags_reward``. The second, ``answer``, is ``format_reward`` without repair. The parts
here compare an answer with the one label of the sample. They are 0 if there is no label (an empty target, which
Seg-Zero cannot name) or if the answer does not parse. Our parser also requires that the box is ordered and that
everything lies inside the image.
"""

from collections.abc import Callable, Sequence

import numpy as np

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.completions import RewardFunction, by_labels
from t2s_pipeline.rewards.matching import box_array, label_boxes, mean_l1, on_full_square, pixel_iou
from t2s_pipeline.vision.geometry import Frame, Point, PromptObject

LEAST_IOU = 0.5
MOST_L1 = 10.0
"""Pixels of the square of 840."""
MOST_POINT_DISTANCE = 100.0
"""Pixels of the square of 840."""


def box_iou_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """1 for a box whose IoU with the label's box is above 0.5, both taken as pixels."""

    def near(item: PromptObject, label: Label) -> bool:
        return bool(pixel_iou(box_array([item.bbox]), label_boxes([label]))[0, 0] > LEAST_IOU)

    return _comparing_objects(near, combination, frame, repair)


def box_l1_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """1 for a box whose coordinates differ from the label's by less than 10 pixels of the square of 840 on average."""

    def near(item: PromptObject, label: Label) -> bool:
        return bool(mean_l1(box_array([item.bbox]), label_boxes([label]))[0, 0] < MOST_L1)

    return _comparing_objects(near, combination, frame, repair)


def points_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """1 for two points inside the predicted box, less than 100 pixels from the label's points.

    The distance is the mean of the two, under whichever pairing makes it smaller.
    """

    def near(item: PromptObject, label: Label) -> bool:
        if not all(inside(point, item) for point in item.positive_points):
            return False
        (a, b), (p, q) = item.positive_points, label.points
        straight, crossed = _distance(a, p) + _distance(b, q), _distance(a, q) + _distance(b, p)
        return bool(min(straight, crossed) / 2 < MOST_POINT_DISTANCE)

    return _comparing_objects(near, combination, frame, repair)


def inside(point: Point, item: PromptObject) -> bool:
    """Whether a point lies in the object's box, its rim included; False if the object has no box."""
    if item.bbox is None:
        return False
    x0, y0, x1, y1 = item.bbox
    return x0 <= point[0] <= x1 and y0 <= point[1] <= y1


def _distance(a: Point, b: Point) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _comparing_objects(
    near: Callable[[PromptObject, Label], bool], combination: PromptCombination, frame: Frame, repair: bool
) -> RewardFunction:
    """The reward function that gives 1 or 0 for the one object of an answer and the one label of its sample."""

    def judge(text: str, labels: Sequence[Label]) -> float:
        answer = parse(text, combination, frame, repair)
        if not labels or not isinstance(answer, Answer):
            return 0.0
        [item] = on_full_square(answer.objects, frame)
        return float(near(item, labels[0]))

    return by_labels(judge)
