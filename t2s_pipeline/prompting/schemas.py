"""The answer schemas: the paper's five prompt combinations (Table 6) and the three baselines' answers.

A schema is one entry of ``SCHEMAS``. The instruction text, the parser's rules and the rendering of an
answer are all derived from it, so a new combination is one more entry.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from t2s_pipeline.vision.geometry import Point, PromptObject


class Role(Enum):
    """What the numbers of a key mean to the segmenter."""

    BOX = "box"
    POSITIVE = "positive"
    NEGATIVE = "negative"


class Shape(Enum):
    """How the target instances are laid out in the JSON answer."""

    OBJECTS = "a list of objects, empty for no target"
    ONE_OBJECT = "one object; it cannot say that there is no target"
    BARE_BOXES = "a list of four-number boxes, empty for no target"


@dataclass(frozen=True)
class Key:
    """A key of an answer object. ``count`` points are a list of points; ``count`` None is one bare box or point."""

    name: str
    role: Role
    count: int | None = None

    @property
    def example(self) -> str:
        """How the instruction shows the value."""
        if self.role is Role.BOX:
            return "[x0, y0, x1, y1]"
        if self.count is None:
            return "[x, y]"
        return "[" + ", ".join(["[x, y]"] * self.count) + "]"


@dataclass(frozen=True)
class PromptSchema:
    """An answer schema: the keys of one object in order, and the layout around the objects."""

    name: str
    keys: tuple[Key, ...]
    shape: Shape = Shape.OBJECTS

    @cached_property
    def names(self) -> frozenset[str]:
        """The keys of an object."""
        return frozenset(key.name for key in self.keys)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """One of these is in every answer that names an object."""
        return tuple("0123456789") if self.shape is Shape.BARE_BOXES else tuple(key.name for key in self.keys)

    @cached_property
    def has_box(self) -> bool:
        return any(key.role is Role.BOX for key in self.keys)

    @property
    def positive_points(self) -> int:
        """Positive points an object carries."""
        return sum(key.count or 1 for key in self.keys if key.role is Role.POSITIVE)

    @property
    def negative_points(self) -> int:
        """Negative points an object carries."""
        return sum(key.count or 1 for key in self.keys if key.role is Role.NEGATIVE)

    @property
    def example(self) -> str:
        """The answer with placeholder coordinates, as the instruction shows it."""
        if self.shape is Shape.BARE_BOXES:
            return "[[x0, y0, x1, y1]]"
        item = "{" + ", ".join(f'"{key.name}": {key.example}' for key in self.keys) + "}"
        return item if self.shape is Shape.ONE_OBJECT else f"[{item}]"

    def render(self, objects: Sequence[PromptObject]) -> str:
        """The JSON answer that stands for these objects; the inverse of parsing.

        Raises:
            ValueError: if the schema cannot express them (another number of points, or no object at all).
        """
        if self.shape is Shape.BARE_BOXES:
            return json.dumps([_numbers(_box(item)) for item in objects])
        rendered = [self._object(item) for item in objects]
        if self.shape is Shape.ONE_OBJECT:
            if len(rendered) != 1:
                raise ValueError(f"schema {self.name} holds exactly one object, not {len(rendered)}")
            return json.dumps(rendered[0])
        return json.dumps(rendered)

    def _object(self, item: PromptObject) -> dict:
        if (len(item.positive_points), len(item.negative_points)) != (self.positive_points, self.negative_points):
            raise ValueError(
                f"schema {self.name} needs {self.positive_points} positive and {self.negative_points} negative points"
            )
        points = {Role.POSITIVE: iter(item.positive_points), Role.NEGATIVE: iter(item.negative_points)}
        values: dict[str, list] = {}
        for key in self.keys:
            if key.role is Role.BOX:
                values[key.name] = _numbers(_box(item))
            elif key.count is None:
                values[key.name] = _numbers(next(points[key.role]))
            else:
                values[key.name] = [_numbers(next(points[key.role])) for _ in range(key.count)]
        return values


def _box(item: PromptObject) -> Sequence[float]:
    if item.bbox is None:
        raise ValueError("the schema needs a box and the object has none")
    return item.bbox


def _numbers(values: Sequence[float] | Point) -> list[float | int]:
    """Whole numbers are written without a decimal point."""
    return [int(value) if float(value).is_integer() else value for value in values]


_BOX = Key("bbox_2d", Role.BOX)

SCHEMAS: dict[str, PromptSchema] = {
    schema.name: schema
    for schema in (
        PromptSchema("bbox", (_BOX,)),
        PromptSchema("pos2", (Key("positive_points", Role.POSITIVE, 2),)),
        PromptSchema("bbox+pos2", (_BOX, Key("positive_points", Role.POSITIVE, 2))),
        PromptSchema("bbox+pos4", (_BOX, Key("positive_points", Role.POSITIVE, 4))),
        PromptSchema(
            "bbox+pos2+neg2",
            (_BOX, Key("positive_points", Role.POSITIVE, 2), Key("negative_points", Role.NEGATIVE, 2)),
        ),
        PromptSchema(
            "seg-zero",
            (Key("bbox", Role.BOX), Key("points_1", Role.POSITIVE), Key("points_2", Role.POSITIVE)),
            Shape.ONE_OBJECT,
        ),
        PromptSchema("vision-reasoner", (_BOX, Key("point_2d", Role.POSITIVE))),
        PromptSchema("remote-reasoner", (_BOX,), Shape.BARE_BOXES),
    )
}

DEFAULT_SCHEMA = "bbox+pos2"
