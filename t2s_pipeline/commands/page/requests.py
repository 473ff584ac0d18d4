"""What the page sends, checked: JSON of limited size with the fields that are expected."""

import math
import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import bounded_json
from t2s_pipeline.vision.geometry import Box, Point, PromptObject
from t2s_pipeline.vision.view import SceneView

MOST_BYTES = 100_000
"""The most bytes of a request that is no file."""

MOST_TEXT = 20_000
MOST_POINTS = 100
"""Points of one object."""

MOST_DRAWS = 64

_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


@dataclass(frozen=True)
class Fields:
    """The fields of a JSON object. Each method raises InputError if the field has another form."""

    values: dict[str, Any]

    def text(self, name: str, default: str = "") -> str:
        """A text without surrogates and control characters."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > MOST_TEXT or not _is_plain(value):
            raise InputError(f"{name} is no text that can be used.")
        return value

    def whole(self, name: str, most: int) -> int:
        """A whole number from 0 on; 0 if it is not there."""
        value = self.values.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise InputError(f"{name} is no whole number from 0 to {most}.")
        return value

    def prompt(self, width: int, height: int) -> PromptObject:
        """The field ``prompt``: the prompts of one object, in pixels of a scene of that size."""
        value = self.values.get("prompt")
        if not isinstance(value, dict):
            raise InputError("The prompt is missing.")
        box = value.get("bbox")
        positive = _points(value.get("positive_points", []), width, height)
        negative = _points(value.get("negative_points", []), width, height)
        if box is None and not positive:
            raise InputError("An object needs a box or a point on it.")
        return PromptObject(None if box is None else _box(box, width, height), positive, negative)

    def view(self) -> SceneView | None:
        """The field ``view``: x0, y0, x1, y1 in pixels; None if it is not there."""
        value = self.values.get("view")
        if value is None:
            return None
        x0, y0, x1, y1 = (round(number) for number in _numbers(value, 4))
        if x0 >= x1 or y0 >= y1:
            raise InputError("The part on view is empty.")
        return SceneView(x0, y0, x1 - x0, y1 - y0, x1 - x0, y1 - y0)


async def fields_of(request: Request) -> Fields:
    """The JSON object of a request.

    Raises:
        InputError: if it is too large, or no JSON object.
    """
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise InputError(f"The request has more than {MOST_BYTES:,} bytes.")
    try:
        values = bounded_json(data)
    except ValueError as fault:
        raise InputError(f"The request is not JSON: {fault}.") from fault
    if not isinstance(values, dict):
        raise InputError("The request is no JSON object.")
    return Fields(values)


def bands_of(text: str) -> tuple[int, ...]:
    """The numbers of bands in a text such as ``4,3,2``; empty for the default.

    Raises:
        InputError: if it is neither one number nor three.
    """
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    usable = all(word.isascii() and word.isdigit() and len(word) <= 5 and int(word) > 0 for word in words)
    if len(words) not in (0, 1, 3) or not usable:
        raise InputError("Bands are one number or three, from 1 on, such as 4,3,2.")
    return tuple(map(int, words))


def _is_plain(text: str) -> bool:
    return not _ODD.search(text)


def _numbers(value: Any, count: int) -> list[float]:
    usable = isinstance(value, list) and len(value) == count
    if not usable or not all(type(number) in (int, float) and math.isfinite(number) for number in value):
        raise InputError(f"{count} numbers are expected.")
    return [float(number) for number in value]


def _points(value: Any, width: int, height: int) -> tuple[Point, ...]:
    if not isinstance(value, list) or len(value) > MOST_POINTS:
        raise InputError(f"An object has at most {MOST_POINTS} points of a kind.")
    points = [_numbers(item, 2) for item in value]
    return tuple((_inside(x, width), _inside(y, height)) for x, y in points)


def _box(value: Any, width: int, height: int) -> Box:
    xa, ya, xb, yb = _numbers(value, 4)
    x0, x1 = sorted((_inside(xa, width), _inside(xb, width)))
    y0, y1 = sorted((_inside(ya, height), _inside(yb, height)))
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise InputError("The box is smaller than a pixel.")
    return (x0, y0, x1, y1)


def _inside(value: float, length: int) -> float:
    """The position moved into the scene: a hand moves a handle a little too far."""
    return min(max(value, 0.0), float(length))
