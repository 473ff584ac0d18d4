"""The laxer parser of the ``reference`` protocol: what the authors' evaluation reads, although training refuses it.

It reads alike what the training parser reads. Beyond that, only for answers that are a list of objects:

- the tags may be missing, and the text may hold more beside them;
- the list is taken from its first to its last bracket;
- an object may have its box alone or its positive points alone;
- keys that were not asked for are ignored.

This parser still checks that coordinates are numbers inside the frame; the authors' parser does not
(docs/protocols.md).
"""

from dataclasses import dataclass

from t2s_pipeline.prompting.combinations import PromptCombination, Role, Shape
from t2s_pipeline.prompting.elements import (
    MAX_OBJECTS,
    Malformed,
    load_payload,
    read_box,
    read_points,
    without_duplicates,
)
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject


@dataclass(frozen=True)
class Readings:
    """What the two parsers read in one completion.

    Attributes:
        strict: what the training parser reads.
        lax: what the laxer parser reads. It is ``strict`` itself where the training parser can read the completion,
            and where neither parser can.
    """

    strict: Answer | FormatError
    lax: Answer | FormatError


def parse_both(text: str, combination: PromptCombination, frame: Frame) -> Readings:
    """Read a completion with both parsers; never raises on model text.

    Where neither parser can read the completion, both readings are the training parser's error.
    """
    strict = parse(text, combination, frame)
    return Readings(strict, _lax(text, strict, combination, frame))


def _lax(
    text: str, trained: Answer | FormatError, combination: PromptCombination, frame: Frame
) -> Answer | FormatError:
    """The laxer reading of a text that the training parser read as ``trained``."""
    if isinstance(trained, Answer) or trained.reason == "too_long" or combination.shape is not Shape.OBJECTS:
        return trained
    body = text
    if "<answer>" in text and "</answer>" in text:
        body = text.partition("<answer>")[2].partition("</answer>")[0]
    start, end = body.find("["), body.rfind("]")
    if start < 0 or end < start:
        return trained
    try:
        value, repaired = load_payload(body[start : end + 1], combination, repair=True)
        if not isinstance(value, list) or len(value) > MAX_OBJECTS:
            return trained
        objects = tuple(_object(item, combination, frame) for item in value)
    except Malformed:
        return trained
    # As in the authors' code, only boxes are compared with each other.
    boxed = without_duplicates(tuple(item for item in objects if item.bbox is not None))
    return Answer("", tuple(item for item in objects if item.bbox is None or item in boxed), repaired)


def _object(item: object, combination: PromptCombination, frame: Frame) -> PromptObject:
    if not isinstance(item, dict):
        raise Malformed("keys", "expected an object")
    box: Box | None = None
    points: dict[Role, list[Point]] = {Role.POSITIVE: [], Role.NEGATIVE: []}
    for key in combination.keys:
        if key.name not in item:
            continue
        if key.role is Role.BOX:
            box = read_box(item[key.name], frame)
        else:
            points[key.role] += read_points(item[key.name], key, frame)
    if box is None and not points[Role.POSITIVE]:
        raise Malformed("keys", "neither a box nor positive points")
    return PromptObject(box, tuple(points[Role.POSITIVE]), tuple(points[Role.NEGATIVE]))
