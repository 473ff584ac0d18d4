"""RemoteReasoner's reward: box IoU + count + format, each 0 to 1. No torch.

The paper names these three parts and publishes no weights: equal ones are our interpretation, and so are the formulas.
The format is ``json_reward`` without repair; an answer that does not parse earns 0 in all three.
"""

from collections.abc import Callable, Sequence

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.parsing import MAX_OBJECTS, Answer, parse
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.format import Completions, RewardFunction, text_of
from t2s_pipeline.rewards.matching import box_array, label_boxes, matched_total, on_full_square, pixel_iou
from t2s_pipeline.vision.geometry import Frame

Boxes = Sequence[Sequence[float]]


def matched_iou_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """Sum of the IoUs of boxes matched with labels (Hungarian method), over the larger number of both.

    Boxes are taken as pixels. An empty list for an empty target earns 1.
    """

    def judge(boxes: Boxes, labels: Sequence[Label]) -> float:
        if not boxes or not labels:
            return float(len(boxes) == len(labels))
        return matched_total(pixel_iou(box_array(boxes), label_boxes(labels))) / max(len(boxes), len(labels))

    return _compared("matched_iou", judge, combination, frame, repair)


def count_reward(combination: PromptCombination, frame: Frame, repair: bool = False) -> RewardFunction:
    """1 − |boxes − labels| / max(boxes, labels); 1 for an empty list where the target is empty."""

    def judge(boxes: Boxes, labels: Sequence[Label]) -> float:
        return 1 - abs(len(boxes) - len(labels)) / max(len(boxes), len(labels), 1)

    return _compared("count", judge, combination, frame, repair)


def _compared(
    name: str,
    judge: Callable[[Boxes, Sequence[Label]], float],
    combination: PromptCombination,
    frame: Frame,
    repair: bool,
) -> RewardFunction:
    """(completions, labels: the sample's labels for each of them) → a reward each."""

    def reward(completions: Completions, labels: Sequence[Sequence[Label]], **_: object) -> list[float | None]:
        return [earned(text_of(text), own[:MAX_OBJECTS]) for text, own in zip(completions, labels, strict=True)]

    def earned(text: str, own: Sequence[Label]) -> float:
        # Boxes that repeat each other are counted here: dropping them is the evaluation's mercy.
        answer = parse(text, combination, frame, repair, drop_duplicates=False)
        if not isinstance(answer, Answer):
            return 0.0
        return judge([item.bbox for item in on_full_square(answer.objects, frame)], own)

    reward.__name__ = name
    return reward
