"""What of an answer is well formed, piece by piece: for rewards that pay the parts of an object one by one."""

from t2s_pipeline.prompting.combinations import PromptCombination, Role
from t2s_pipeline.prompting.parsing import (
    MAX_COMPLETION_BYTES,
    MAX_OBJECTS,
    _box,
    _load,
    _Malformed,
    _points,
    _split,
)
from t2s_pipeline.vision.geometry import Frame, Point, PromptObject


def read_piecewise(
    text: str, combination: PromptCombination, frame: Frame, repair: bool = False
) -> list[PromptObject] | None:
    """The objects of a completion whose answer is a JSON list, the first ``MAX_OBJECTS``; None if it is not.

    An object has what of it is as the combination and the frame ask: a box that is not is None, points that are not are
    missing, and something that is no object at all has neither. Keys that were not asked for are ignored. Never
    raises on model text.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_COMPLETION_BYTES:
        return None
    try:
        value, _ = _load(_split(text)[1], combination, repair)
    except _Malformed:
        return None
    if not isinstance(value, list):
        return None
    return [_pieces(item, combination, frame) for item in value[:MAX_OBJECTS]]


def _pieces(item: object, combination: PromptCombination, frame: Frame) -> PromptObject:
    if not isinstance(item, dict):
        return PromptObject()
    box = None
    points: dict[Role, list[Point]] = {Role.POSITIVE: [], Role.NEGATIVE: []}
    for key in combination.keys:
        try:
            if key.role is Role.BOX:
                box = _box(item.get(key.name), frame)
            else:
                points[key.role] += _points(item.get(key.name), key, frame)
        except _Malformed:
            continue
    return PromptObject(box, tuple(points[Role.POSITIVE]), tuple(points[Role.NEGATIVE]))
