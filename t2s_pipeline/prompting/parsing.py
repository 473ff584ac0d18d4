"""From a completion to prompts: strict JSON first, then a recorded repair, then a typed format error.

One parser serves rewards, evaluation and foreign answers. It never raises on model text, and its work is
bounded: completions over 64 KiB are refused and at most 120 objects are read.
"""

import json
from dataclasses import dataclass, replace

from t2s_pipeline.prompting.combinations import Key, PromptCombination, Role, Shape
from t2s_pipeline.prompting.repair import Hopeless, repaired
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject, box_iou

MAX_COMPLETION_BYTES = 64 * 1024
MAX_OBJECTS = 120
MAX_REPAIRED = 16 * 1024
"""Characters of a payload that is worth mending: 120 objects of the longest combination have fewer."""
LARGEST = 1e9
"""No coordinate is larger; a whole number beyond any float is not even comparable with a frame."""
DUPLICATE_IOU = 0.5
"""Boxes that overlap more than this count as one; the larger stays (the authors' non-maximum suppression)."""


@dataclass(frozen=True)
class Answer:
    """A completion that parses. ``objects`` empty means that the prompter says there is no target."""

    thought: str
    objects: tuple[PromptObject, ...]
    repaired: bool

    def moved(self, source: Frame, target: Frame) -> "Answer":
        """The same answer with its coordinates moved from one frame to another."""
        return replace(self, objects=tuple(item.moved(source, target) for item in self.objects))


@dataclass(frozen=True)
class FormatError:
    """A completion that does not. ``reason`` is one of a few constants; ``tags_ok`` says the tags were right."""

    reason: str
    detail: str
    tags_ok: bool

    def moved(self, source: Frame, target: Frame) -> "FormatError":
        """Itself: it has no coordinates."""
        return self


class _Malformed(Exception):
    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def parse(
    text: str, combination: PromptCombination, frame: Frame, repair: bool = True, drop_duplicates: bool = True
) -> Answer | FormatError:
    """Read a completion written for ``combination``, with coordinates in pixels of ``frame``.

    The whole text must be one think block, optional white space, one answer block. Numbers must be finite,
    boxes ordered and inside the frame, point counts exact.

    Args:
        repair: whether JSON that does not parse may be mended; ``Answer.repaired`` records that it was.
        drop_duplicates: whether boxes that overlap a larger one by more than ``DUPLICATE_IOU`` are dropped.
    """
    # A character is at most four bytes.
    if len(text) * 4 > MAX_COMPLETION_BYTES and len(text.encode("utf-8", "surrogatepass")) > MAX_COMPLETION_BYTES:
        return FormatError("too_long", f"more than {MAX_COMPLETION_BYTES} bytes", tags_ok=False)
    try:
        thought, payload = _split(text)
    except _Malformed as fault:
        return FormatError(fault.reason, fault.detail, tags_ok=False)
    try:
        value, was_repaired = _load(payload, combination, repair)
        objects = tuple(_object(item, combination, frame) for item in _items(value, combination))
    except _Malformed as fault:
        return FormatError(fault.reason, fault.detail, tags_ok=True)
    if drop_duplicates and len(objects) > 1 and combination.has_box:
        objects = _without_duplicates(objects)
    return Answer(thought, objects, was_repaired)


def _split(text: str) -> tuple[str, str]:
    """The thought and the answer's payload. Plain searches, so hostile text costs linear time."""
    body = text.strip()
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        if body.count(tag) != 1:
            raise _Malformed("tags", f"{tag} occurs {body.count(tag)} times")
    head, _, rest = body.partition("</think>")
    middle, _, payload = rest.partition("<answer>")
    if not head.startswith("<think>") or middle.strip() or not payload.endswith("</answer>"):
        raise _Malformed("tags", "not one think block followed by one answer block")
    return head.removeprefix("<think>").strip(), payload.removesuffix("</answer>").strip()


def _load(payload: str, combination: PromptCombination, repair: bool) -> tuple[object, bool]:
    if payload.startswith("```") and payload.endswith("```") and len(payload) >= 6:
        payload = payload[3:-3].removeprefix("json").strip()
    try:
        return _STRICT.decode(payload), False
    except (ValueError, RecursionError) as fault:
        # Mending is a walk in Python: it starts only where something could come of it.
        if not repair or len(payload) > MAX_REPAIRED or not any(word in payload for word in combination.needed):
            raise _Malformed("json", str(fault)[:200]) from None
    if payload.count("{") > MAX_OBJECTS:
        raise _Malformed("too_many_objects", f"at most {MAX_OBJECTS}")
    try:
        value = repaired(payload)
    except Hopeless as fault:
        raise _Malformed("json", str(fault)) from None
    if not value:
        # "No target" must be said, not left over from a text that could not be read.
        raise _Malformed("json", "nothing that could be repaired")
    return value, True


def _refuse_constant(name: str) -> float:
    raise _Malformed("number", f"{name} is not a finite number")


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)


def _items(value: object, combination: PromptCombination) -> list:
    if combination.shape is Shape.ONE_OBJECT:
        if not isinstance(value, dict):
            raise _Malformed("layout", "expected one JSON object")
        return [value]
    if not isinstance(value, list):
        raise _Malformed("layout", "expected a JSON list")
    if combination.shape is Shape.BARE_BOXES and len(value) == 4 and not any(isinstance(v, list) for v in value):
        value = [value]  # one flat box is accepted (baselines: RemoteReasoner)
    if len(value) > MAX_OBJECTS:
        raise _Malformed("too_many_objects", f"{len(value)} objects, at most {MAX_OBJECTS}")
    return value


def _object(item: object, combination: PromptCombination, frame: Frame) -> PromptObject:
    if combination.shape is Shape.BARE_BOXES:
        return PromptObject(bbox=_box(item, frame))
    if not isinstance(item, dict) or item.keys() != combination.names:
        found = ", ".join(map(str, item)) if isinstance(item, dict) else type(item).__name__
        raise _Malformed("keys", f"expected {', '.join(sorted(combination.names))}; found {found}"[:200])
    box: Box | None = None
    positive: list[Point] = []
    negative: list[Point] = []
    for key in combination.keys:
        if key.role is Role.BOX:
            box = _box(item[key.name], frame)
        elif key.role is Role.POSITIVE:
            positive += _points(item[key.name], key, frame)
        else:
            negative += _points(item[key.name], key, frame)
    return PromptObject(box, tuple(positive), tuple(negative))


def _points(value: object, key: Key, frame: Frame) -> list[Point]:
    if key.count is None:
        return [_point(value, frame)]
    if not isinstance(value, list) or len(value) != key.count:
        size = len(value) if isinstance(value, list) else type(value).__name__
        raise _Malformed("point_count", f"{key.name} needs {key.count} points, found {size}")
    return [_point(item, frame) for item in value]


def _numbers(value: object, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        raise _Malformed("coordinates", f"expected {count} numbers")
    for item in value:
        # By type and not by isinstance: bool is an int to Python, not to JSON.
        kind = type(item)
        if kind is not int and kind is not float:
            raise _Malformed("number", f"{str(item)[:40]!r} is not a number")
        if not -LARGEST <= item <= LARGEST:  # nor does NaN lie there
            raise _Malformed("number", "a coordinate is not finite")
    return list(map(float, value))


def _box(value: object, frame: Frame) -> Box:
    x0, y0, x1, y1 = _numbers(value, 4)
    if not (x0 < x1 and y0 < y1):
        raise _Malformed("box_order", f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}] is not x0 < x1, y0 < y1")
    if x0 < 0 or y0 < 0 or x1 > frame.width or y1 > frame.height:
        raise _Malformed("outside", f"box [{x0:g}, {y0:g}, {x1:g}, {y1:g}] leaves {frame.width}×{frame.height}")
    return (x0, y0, x1, y1)


def _point(value: object, frame: Frame) -> Point:
    x, y = _numbers(value, 2)
    if not (0 <= x <= frame.width and 0 <= y <= frame.height):
        raise _Malformed("outside", f"point [{x:g}, {y:g}] leaves {frame.width}×{frame.height}")
    return (x, y)


def _without_duplicates(objects: tuple[PromptObject, ...]) -> tuple[PromptObject, ...]:
    """Greedy non-maximum suppression, larger boxes first; what stays keeps its order."""

    def area(item: PromptObject) -> float:
        x0, y0, x1, y1 = item.bbox
        return (x1 - x0) * (y1 - y0)

    kept: list[int] = []
    for index in sorted(range(len(objects)), key=lambda i: -area(objects[i])):
        if all(box_iou(objects[index].bbox, objects[other].bbox) <= DUPLICATE_IOU for other in kept):
            kept.append(index)
    return tuple(objects[index] for index in sorted(kept))
