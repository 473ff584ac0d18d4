"""Prompts as a person types them: ``box=10,20,60,80,point=30,40,not=12,70``."""

import math
import re

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Box, Point, PromptObject
from t2s_pipeline.vision.place import Place

_PART = re.compile(r"(?P<key>[a-z]+)=(?P<numbers>[^a-z=;]*)")
_LENGTHS = {"box": 4, "point": 2, "not": 2}


def read_prompts(text: str, place: Place, width: int, height: int, on_map: bool = False) -> PromptObject:
    """The prompts for one object, in pixels of the scene.

    Args:
        text: ``box=x0,y0,x1,y1`` at most once, ``point=x,y`` on the object and ``not=x,y`` beside it, separated by
            commas, semicolons or blanks.
        place: where the scene lies.
        width: of the scene, in pixels.
        height: of the scene, in pixels.
        on_map: the coordinates are those of the scene's CRS, not pixels.

    Raises:
        InputError: if the text has another form, or a coordinate lies outside of the scene.
    """
    box: Box | None = None
    points: dict[str, list[Point]] = {"point": [], "not": []}
    if _PART.sub("", text).strip(" ,;"):
        raise _fault(text)
    for match in _PART.finditer(text):
        numbers = _numbers(match["numbers"], text)
        if len(numbers) != _LENGTHS.get(match["key"]):
            raise _fault(text)
        corners = list(zip(numbers[::2], numbers[1::2], strict=True))
        if on_map:
            corners = [place.pixel_at(x, y) for x, y in corners]
        outside = [(x, y) for x, y in corners if not (0 <= x <= width and 0 <= y <= height)]
        if outside:
            raise InputError(
                f"{text!r} lies outside of the scene, which has {width} × {height} pixels: a coordinate is at column "
                f"{outside[0][0]:.1f}, row {outside[0][1]:.1f}."
            )
        if match["key"] != "box":
            points[match["key"]] += corners
            continue
        (xa, ya), (xb, yb) = corners
        if box is not None or xa == xb or ya == yb:
            raise _fault(text)
        box = (min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb))
    if box is None and not points["point"]:
        raise _fault(text)
    return PromptObject(box, tuple(points["point"]), tuple(points["not"]))


def _numbers(text: str, whole: str) -> list[float]:
    try:
        numbers = [float(word) for word in re.split(r"[,\s]+", text.strip(" ,"))]
    except ValueError:
        raise _fault(whole) from None
    if not all(map(math.isfinite, numbers)):
        raise _fault(whole)
    return numbers


def _fault(text: str) -> InputError:
    return InputError(
        f"{text[:200]!r} is no prompt: write box=x0,y0,x1,y1 (at most one), point=x,y on the object and not=x,y beside "
        "it, with a box or a point at least."
    )
