"""The parser of the ``reference`` protocol: what the authors' evaluation reads in an answer.

It is a parser of its own. For answers that are a list of objects it reads as their ``parse_sam_json_test`` does:

- the tags may be missing, and the text may hold more beside them;
- the JSON goes from the first ``[`` to the last ``]`` between the tags, or is all of it where one of them is missing;
- JSON that does not parse goes through the package json_repair;
- an object needs its box or its positive points. Points that are given must be as many as the combination asks for, so
  negative points that it does not ask for make the answer unreadable. A box is used even if it is not asked for, and
  other keys are ignored;
- of boxes that overlap by more than ``DUPLICATE_IOU`` the largest stays, exact copies included.

In two things it stays as strict as the training parser: coordinates are numbers inside the frame and boxes are ordered,
and the lengths that are read have limits (docs/protocols.md). Answers of another shape (Seg-Zero, RemoteReasoner,
rotated boxes, chains) are read by the training parser, because the authors' parser does not know them.
"""

import json
from dataclasses import dataclass

import json_repair

from t2s_pipeline.prompting.combinations import PromptCombination, Role, Shape
from t2s_pipeline.prompting.elements import (
    MAX_OBJECTS,
    Malformed,
    is_too_long,
    read_box,
    read_points,
    without_duplicates,
)
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

MAX_REPAIRED_AS_AUTHORS = 8 * 1024
"""Characters. On hostile text json_repair takes a second for so many, and four times as long for twice as many."""

BOX_KEY = "bbox_2d"
POINT_KEYS = ("positive_points", "negative_points")
"""The keys that the authors' parser knows."""


@dataclass(frozen=True)
class Readings:
    """What the two parsers read in one completion.

    Attributes:
        strict: what the training parser reads.
        lax: what the parser of the reference protocol reads. It is ``strict`` itself where both read the same prompts,
            and where neither can read the completion.
    """

    strict: Answer | FormatError
    lax: Answer | FormatError


def parse_both(text: str, combination: PromptCombination, frame: Frame) -> Readings:
    """Read a completion with both parsers; never raises on model text."""
    strict = parse(text, combination, frame)
    if combination.shape is not Shape.OBJECTS or combination.has_figures or is_too_long(text):
        return Readings(strict, strict)
    lax = _parse_as_authors(text, combination, frame)
    if isinstance(strict, FormatError):
        return Readings(strict, strict if isinstance(lax, FormatError) else lax)
    same = isinstance(lax, Answer) and lax.objects == strict.objects
    return Readings(strict, strict if same else lax)


def _parse_as_authors(text: str, combination: PromptCombination, frame: Frame) -> Answer | FormatError:
    try:
        value, repaired = _load(_payload(text))
        if not isinstance(value, list):
            raise Malformed("layout", "expected a JSON list")
        if len(value) > MAX_OBJECTS:
            raise Malformed("too_many_objects", f"{len(value)} objects, at most {MAX_OBJECTS}")
        objects = tuple(_object(item, combination, frame) for item in value)
    except Malformed as fault:
        return FormatError(fault.reason, fault.detail, tags_ok=False)
    return Answer("", without_duplicates(objects), repaired)


def _payload(text: str) -> str:
    """The part of a completion that is read as JSON."""
    _, opened, rest = text.partition("<answer>")
    inside, closed, _ = rest.partition("</answer>")
    body = inside.strip() if opened and closed else text
    if "[" in body and "]" in body:
        return body[body.find("[") : body.rfind("]") + 1]
    return body


def _load(payload: str) -> tuple[object, bool]:
    """The JSON value, and whether it had to be repaired.

    Raises:
        Malformed: if there is none.
    """
    try:
        return json.loads(payload), False
    except RecursionError as fault:
        raise Malformed("json", str(fault)) from None
    except ValueError as fault:
        if len(payload) > MAX_REPAIRED_AS_AUTHORS:
            raise Malformed("json", str(fault)[:200]) from None
    try:
        return json_repair.loads(payload), True
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as fault:
        raise Malformed("json", str(fault)[:200]) from None


def _object(item: object, combination: PromptCombination, frame: Frame) -> PromptObject:
    if not isinstance(item, dict):
        raise Malformed("keys", "expected an object")
    box: Box | None = read_box(item[BOX_KEY], frame) if BOX_KEY in item else None
    points: dict[Role, list[Point]] = {Role.POSITIVE: [], Role.NEGATIVE: []}
    for key in combination.keys:
        if key.name not in item or key.name == BOX_KEY:
            continue
        if key.role is Role.BOX:
            box = read_box(item[key.name], frame)
        else:
            points[key.role] += read_points(item[key.name], key, frame)
    surplus = [name for name in POINT_KEYS if name not in combination.names and item.get(name) is not None]
    if surplus:
        raise Malformed("point_count", f"{surplus[0]} needs 0 points")
    if box is None and not points[Role.POSITIVE]:
        raise Malformed("keys", "neither a box nor positive points")
    return PromptObject(box, tuple(points[Role.POSITIVE]), tuple(points[Role.NEGATIVE]))
