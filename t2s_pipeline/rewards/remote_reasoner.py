"""RemoteReasoner's reward: box IoU + count + format, each between 0 and 1.

The paper names these three parts and publishes no weights: equal weights are our interpretation, and so are the
formulas. The format is ``format_reward`` without repair. An answer that does not parse earns 0 in all three.
"""

from collections.abc import Callable, Sequence

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.elements import MAX_OBJECTS
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.completions import RewardFunction, by_labels
from t2s_pipeline.rewards.matching import box_array, label_boxes, matched_total, on_full_square, pixel_iou
from t2s_pipeline.vision.geometry import Box, Frame

Boxes = Sequence[Box | None]


def matched_iou_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """Sum of the IoUs of boxes matched with labels (Hungarian method), divided by the larger number of the two.

    Boxes are taken as pixels. An empty list for an empty target earns 1.
    """

    def judge(boxes: Boxes, labels: Sequence[Label]) -> float:
        if not boxes or not labels:
            return float(len(boxes) == len(labels))
        return matched_total(pixel_iou(box_array(boxes), label_boxes(labels))) / max(len(boxes), len(labels))

    return _comparing_boxes(judge, combination, frame, repair)


def count_reward(combination: PromptCombination, frame: Frame, repair: bool) -> RewardFunction:
    """1 − |boxes − labels| / max(boxes, labels); 1 for an empty list where the target is empty."""

    def judge(boxes: Boxes, labels: Sequence[Label]) -> float:
        return 1 - abs(len(boxes) - len(labels)) / max(len(boxes), len(labels), 1)

    return _comparing_boxes(judge, combination, frame, repair)


def _comparing_boxes(
    judge: Callable[[Boxes, Sequence[Label]], float], combination: PromptCombination, frame: Frame, repair: bool
) -> RewardFunction:
    """The reward function that compares the boxes of an answer with the labels of its sample."""

    def of_text(text: str, labels: Sequence[Label]) -> float:
        # Boxes that repeat each other are counted here; only the evaluation drops them.
        answer = parse(text, combination, frame, repair, drop_duplicates=False)
        if not isinstance(answer, Answer):
            return 0.0
        return judge([item.bbox for item in on_full_square(answer.objects, frame)], labels[:MAX_OBJECTS])

    return by_labels(of_text)
