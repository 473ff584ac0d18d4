"""From a completion to prompts: strict JSON first, then a recorded repair, then a typed format error.

One parser serves rewards, evaluation and foreign answers. It never raises on model text, and its work is
bounded: completions over 64 KiB are refused and at most 120 objects are read.
"""

from dataclasses import dataclass, replace

from t2s_pipeline.prompting.combinations import PromptCombination, Role, Shape
from t2s_pipeline.prompting.elements import (
    MAX_COMPLETION_BYTES,
    MAX_OBJECTS,
    Malformed,
    is_too_long,
    load_payload,
    read_box,
    read_chain,
    read_points,
    read_rotated,
    split_tags,
    without_duplicates,
)
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject


@dataclass(frozen=True)
class Answer:
    """A completion that parses.

    Attributes:
        thought: the text of the think block.
        objects: the prompts; empty if the prompter says that there is no target.
        repaired: whether the JSON had to be repaired.
    """

    thought: str
    objects: tuple[PromptObject, ...]
    repaired: bool

    def moved(self, source: Frame, target: Frame) -> "Answer":
        """The same answer with its coordinates moved from one frame to another."""
        return replace(self, objects=tuple(item.moved(source, target) for item in self.objects))


@dataclass(frozen=True)
class FormatError:
    """A completion that does not parse.

    Attributes:
        reason: one of a few constants.
        detail: what is wrong, in words.
        tags_ok: whether the tags were right.
    """

    reason: str
    detail: str
    tags_ok: bool

    def moved(self, source: Frame, target: Frame) -> "FormatError":
        """Itself: it has no coordinates."""
        return self


def parse(
    text: str, combination: PromptCombination, frame: Frame, repair: bool = True, drop_duplicates: bool = True
) -> Answer | FormatError:
    """Read a completion. Never raises on model text.

    The whole text must be one think block, optional white space, one answer block. Numbers must be finite,
    boxes ordered and inside the frame, point counts exact.

    Args:
        text: the completion.
        combination: the prompt combination that was asked for.
        frame: the frame of the coordinates.
        repair: whether JSON that does not parse may be repaired; ``Answer.repaired`` records that it was.
        drop_duplicates: whether boxes that overlap a larger one by more than ``DUPLICATE_IOU`` are dropped.
    """
    if is_too_long(text):
        return FormatError("too_long", f"more than {MAX_COMPLETION_BYTES} bytes", tags_ok=False)
    try:
        thought, payload = split_tags(text)
    except Malformed as fault:
        return FormatError(fault.reason, fault.detail, tags_ok=False)
    try:
        value, was_repaired = load_payload(payload, combination, repair)
        objects = tuple(_object(item, combination, frame) for item in _items(value, combination))
    except Malformed as fault:
        return FormatError(fault.reason, fault.detail, tags_ok=True)
    if drop_duplicates and len(objects) > 1 and combination.has_box:
        objects = without_duplicates(objects)
    return Answer(thought, objects, was_repaired)


def _items(value: object, combination: PromptCombination) -> list[object]:
    if combination.shape is Shape.ONE_OBJECT:
        if not isinstance(value, dict):
            raise Malformed("layout", "expected one JSON object")
        return [value]
    if not isinstance(value, list):
        raise Malformed("layout", "expected a JSON list")
    items: list[object] = value
    if combination.shape is Shape.BARE_BOXES and len(value) == 4 and not any(isinstance(v, list) for v in value):
        items = [value]  # One flat box is accepted, because RemoteReasoner gives it.
    if len(items) > MAX_OBJECTS:
        raise Malformed("too_many_objects", f"{len(items)} objects, at most {MAX_OBJECTS}")
    return items


def _object(item: object, combination: PromptCombination, frame: Frame) -> PromptObject:
    if combination.shape is Shape.BARE_BOXES:
        return PromptObject(bbox=read_box(item, frame))
    if isinstance(item, dict):
        combination = next((form for form in combination.forms if item.keys() == form.names), combination)
    if not isinstance(item, dict) or item.keys() != combination.names or combination.kinds:
        keys = ", ".join(map(str, item)) if isinstance(item, dict) else type(item).__name__
        raise Malformed("keys", f"expected {', '.join(sorted(combination.names))}; found {keys}"[:200])
    box: Box | None = None
    positive: list[Point] = []
    negative: list[Point] = []
    for key in combination.keys:
        if key.role is Role.ROTATED:
            return read_rotated(item[key.name], frame).prompts(frame)
        if key.role is Role.CHAIN:
            return read_chain(item[key.name], frame).prompts(frame)
        if key.role is Role.BOX:
            box = read_box(item[key.name], frame)
        elif key.role is Role.POSITIVE:
            positive += read_points(item[key.name], key, frame)
        else:
            negative += read_points(item[key.name], key, frame)
    return PromptObject(box, tuple(positive), tuple(negative))
