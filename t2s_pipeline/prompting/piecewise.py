"""Which parts of an answer are well formed: for rewards that pay the parts of an object one by one."""

from t2s_pipeline.prompting.combinations import PromptCombination, Role
from t2s_pipeline.prompting.elements import (
    MAX_OBJECTS,
    Malformed,
    is_too_long,
    load_payload,
    read_box,
    read_points,
    split_tags,
)
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject


def read_piecewise(
    text: str, combination: PromptCombination, frame: Frame, repair: bool = False
) -> list[PromptObject] | None:
    """The first ``MAX_OBJECTS`` objects of a completion whose answer is a JSON list; None if it is not.

    An object holds those of its parts that are as the combination and the frame ask. A box that is not is None, and
    points that are not are missing. An item that is no JSON object gives an object with neither. Keys that were not
    asked for are ignored. Never raises on model text.

    Args:
        text: the completion.
        combination: the prompt combination that was asked for.
        frame: the frame of the coordinates.
        repair: whether JSON that does not parse may be repaired.
    """
    if is_too_long(text):
        return None
    try:
        value, _ = load_payload(split_tags(text)[1], combination, repair)
    except Malformed:
        return None
    if not isinstance(value, list):
        return None
    return [_object(item, combination, frame) for item in value[:MAX_OBJECTS]]


def _object(item: object, combination: PromptCombination, frame: Frame) -> PromptObject:
    if not isinstance(item, dict):
        return PromptObject()
    box: Box | None = None
    points: dict[Role, list[Point]] = {Role.POSITIVE: [], Role.NEGATIVE: []}
    for key in combination.keys:
        try:
            if key.role is Role.BOX:
                box = read_box(item.get(key.name), frame)
            else:
                points[key.role] += read_points(item.get(key.name), key, frame)
        except Malformed:
            continue
    return PromptObject(box, tuple(points[Role.POSITIVE]), tuple(points[Role.NEGATIVE]))
