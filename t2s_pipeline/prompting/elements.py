"""The parts of an answer, which every parser reads alike: tags, JSON payload, boxes and points.

What is wrong raises ``Malformed``; the parsers turn it into a ``FormatError`` or pass over the part.
"""

import json
import math

from t2s_pipeline.prompting.combinations import Key, PromptCombination
from t2s_pipeline.prompting.repair import Hopeless, repaired
from t2s_pipeline.vision.figures import FEWEST, MOST, Chain, RotatedBox
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject, box_iou

MAX_COMPLETION_BYTES = 64 * 1024
"""Longer completions are refused."""
MAX_OBJECTS = 120
"""Of an answer."""
MAX_REPAIRED = 16 * 1024
"""Longer payloads, in characters, are not repaired: 120 objects of the longest combination have fewer."""
LARGEST = 1e9
"""No coordinate is larger. A whole number beyond any float cannot even be compared with a frame."""
DUPLICATE_IOU = 0.5
"""Boxes that overlap more than this count as one; the larger stays (the authors' non-maximum suppression)."""


class Malformed(Exception):
    """A part of an answer that is not as it must be.

    Attributes:
        reason: one of a few constants.
        detail: what is wrong, in words.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def is_too_long(text: str) -> bool:
    """Whether a completion has more than ``MAX_COMPLETION_BYTES``."""
    # A character has at most four bytes, so most texts need no encoding.
    return len(text) * 4 > MAX_COMPLETION_BYTES and len(text.encode("utf-8", "surrogatepass")) > MAX_COMPLETION_BYTES


def split_tags(text: str) -> tuple[str, str]:
    """The thought and the payload of the answer.

    It uses plain searches only, so that hostile text costs linear time.

    Raises:
        Malformed: if the text is not one think block followed by one answer block.
    """
    body = text.strip()
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        if body.count(tag) != 1:
            raise Malformed("tags", f"{tag} occurs {body.count(tag)} times")
    head, _, rest = body.partition("</think>")
    middle, _, payload = rest.partition("<answer>")
    if not head.startswith("<think>") or middle.strip() or not payload.endswith("</answer>"):
        raise Malformed("tags", "not one think block followed by one answer block")
    return head.removeprefix("<think>").strip(), payload.removesuffix("</answer>").strip()


def load_payload(payload: str, combination: PromptCombination, repair: bool) -> tuple[object, bool]:
    """The JSON value of a payload, and whether it had to be repaired.

    Args:
        payload: the text between the answer tags.
        combination: the prompt combination that was asked for.
        repair: whether JSON that does not parse may be repaired.

    Raises:
        Malformed: if there is no JSON value.
    """
    if payload.startswith("```") and payload.endswith("```") and len(payload) >= 6:
        payload = payload[3:-3].removeprefix("json").strip()
    try:
        return _STRICT.decode(payload), False
    except (ValueError, RecursionError) as fault:
        # Repairing is a walk in Python, so it starts only if something could come of it.
        if not repair or len(payload) > MAX_REPAIRED or not any(word in payload for word in combination.needed):
            raise Malformed("json", str(fault)[:200]) from None
    if payload.count("{") > MAX_OBJECTS:
        raise Malformed("too_many_objects", f"at most {MAX_OBJECTS}")
    try:
        value = repaired(payload)
    except Hopeless as fault:
        raise Malformed("json", str(fault)) from None
    if not value:
        # The prompter must say "no target"; it must not be what remains of a text that could not be read.
        raise Malformed("json", "nothing that could be repaired")
    return value, True


def _refuse_constant(name: str) -> float:
    raise Malformed("number", f"{name} is not a finite number")


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)


def read_points(value: object, key: Key, frame: Frame) -> list[Point]:
    """The points of a key, in the frame.

    Raises:
        Malformed: if there are more or fewer than the key asks for, or one is no point inside the frame.
    """
    if key.count is None:
        return [_point(value, frame)]
    if not isinstance(value, list) or len(value) != key.count:
        size = len(value) if isinstance(value, list) else type(value).__name__
        raise Malformed("point_count", f"{key.name} needs {key.count} points, found {size}")
    return [_point(item, frame) for item in value]


def read_box(value: object, frame: Frame) -> Box:
    """A box, in the frame.

    Raises:
        Malformed: if the value is not four finite numbers, ordered, inside the frame.
    """
    x0, y0, x1, y1 = _numbers(value, 4)
    if not (x0 < x1 and y0 < y1):
        raise Malformed("box_order", f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}] is not x0 < x1, y0 < y1")
    if x0 < 0 or y0 < 0 or x1 > frame.width or y1 > frame.height:
        raise Malformed("outside", f"box [{x0:g}, {y0:g}, {x1:g}, {y1:g}] leaves {frame.width}×{frame.height}")
    return (x0, y0, x1, y1)


def _point(value: object, frame: Frame) -> Point:
    x, y = _numbers(value, 2)
    if not (0 <= x <= frame.width and 0 <= y <= frame.height):
        raise Malformed("outside", f"point [{x:g}, {y:g}] leaves {frame.width}×{frame.height}")
    return (x, y)


def read_rotated(value: object, frame: Frame) -> RotatedBox:
    """A rotated box: its centre lies in the frame, no side is longer than the frame's diagonal.

    Raises:
        Malformed: for anything else.
    """
    x, y, width, height, angle = _numbers(value, 5)
    longest = math.hypot(frame.width, frame.height)
    if not (0 <= x <= frame.width and 0 <= y <= frame.height):
        raise Malformed("outside", f"centre [{x:g}, {y:g}] leaves {frame.width}×{frame.height}")
    if not (0 < width <= longest and 0 < height <= longest) or abs(angle) > 360:
        raise Malformed("box_order", f"sides {width:g} and {height:g} at {angle:g} degrees are no rotated box")
    return RotatedBox(x, y, width, height, angle)


def read_chain(value: object, frame: Frame) -> Chain:
    """A chain of points in the frame.

    Raises:
        Malformed: for anything else.
    """
    if not isinstance(value, list) or not FEWEST <= len(value) <= MOST:
        size = len(value) if isinstance(value, list) else type(value).__name__
        raise Malformed("point_count", f"a chain has {FEWEST} to {MOST} points, found {size}")
    return Chain(tuple(_point(point, frame) for point in value))


def _numbers(value: object, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count:
        raise Malformed("coordinates", f"expected {count} numbers")
    for item in value:
        # By type and not by isinstance: bool is an int to Python, not to JSON.
        kind = type(item)
        if kind is not int and kind is not float:
            raise Malformed("number", f"{str(item)[:40]!r} is not a number")
        if not -LARGEST <= item <= LARGEST:  # NaN fails this as well.
            raise Malformed("number", "a coordinate is not finite")
    return list(map(float, value))


def without_duplicates(objects: tuple[PromptObject, ...]) -> tuple[PromptObject, ...]:
    """Greedy non-maximum suppression, larger boxes first. The order of the remaining objects does not change.

    Args:
        objects: each with a box. An object without a box has no area and duplicates nothing.
    """

    def area(item: PromptObject) -> float:
        if item.bbox is None:
            return 0.0
        x0, y0, x1, y1 = item.bbox
        return (x1 - x0) * (y1 - y0)

    remaining: list[int] = []
    for index in sorted(range(len(objects)), key=lambda i: -area(objects[i])):
        if not any(_is_duplicate(objects[index], objects[larger]) for larger in remaining):
            remaining.append(index)
    return tuple(objects[index] for index in sorted(remaining))


def _is_duplicate(item: PromptObject, larger: PromptObject) -> bool:
    return item.bbox is not None and larger.bbox is not None and box_iou(item.bbox, larger.bbox) > DUPLICATE_IOU
