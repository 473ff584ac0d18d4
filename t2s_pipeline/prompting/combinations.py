"""Prompt combinations: which boxes and points an answer holds, and how the JSON answer is laid out.

Built in are the paper's five (Table 6), the answers of the three methods that it compares with, and those of
docs/beyond.md. The instruction
text, the rules of the parser, the grammar and the rendering of an answer all follow from the ``PromptCombination``.
So a new one is a single object::

    PROMPT_COMBINATIONS.register(PromptCombination(name="pos3", keys=(Key("positive_points", Role.POSITIVE, 3),)))
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from t2s_pipeline.core.registry import Registry
from t2s_pipeline.vision.figures import Chain, RotatedBox
from t2s_pipeline.vision.geometry import Point, PromptObject


class Role(Enum):
    """What the numbers of a key mean to the segmenter."""

    BOX = "box"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    ROTATED = "rotated box"
    CHAIN = "chain of points"


class Shape(Enum):
    """How the target instances are laid out in the JSON answer."""

    OBJECTS = "a list of objects, empty for no target"
    ONE_OBJECT = "one object; it cannot say that there is no target"
    BARE_BOXES = "a list of four-number boxes, empty for no target"


@dataclass(frozen=True)
class Key:
    """A key of an answer object.

    Attributes:
        name: the key in the JSON answer.
        role: what its value means.
        count: how many points the value lists. None: the value is a single box or point, without a list around it.
    """

    name: str
    role: Role
    count: int | None = None

    @property
    def example(self) -> str:
        """How the instruction shows the value."""
        if self.role is Role.BOX:
            return "[x0, y0, x1, y1]"
        if self.role is Role.ROTATED:
            return "[x, y, width, height, angle]"
        if self.role is Role.CHAIN:
            return "[[x, y], [x, y], [x, y]]"
        if self.count is None:
            return "[x, y]"
        return "[" + ", ".join(["[x, y]"] * self.count) + "]"


@dataclass(frozen=True)
class PromptCombination:
    """What one answer holds: the keys of one object, and the layout around the objects.

    Attributes:
        name: as settings, tables and the command line show it.
        keys: the keys of an object, in the order in which the instruction shows them.
        shape: the layout around the objects.
        kinds: combinations of which each object takes one, told apart by their keys; empty for the keys above.
    """

    name: str
    keys: tuple[Key, ...]
    shape: Shape = Shape.OBJECTS
    kinds: tuple["PromptCombination", ...] = ()

    @cached_property
    def forms(self) -> tuple["PromptCombination", ...]:
        """The combinations of which an object may be: its kinds, or itself."""
        return self.kinds or (self,)

    @cached_property
    def has_figures(self) -> bool:
        """Whether an object may be a rotated box or a chain."""
        return any(key.role in (Role.ROTATED, Role.CHAIN) for key in self.keys)

    @cached_property
    def names(self) -> frozenset[str]:
        """The keys of an object."""
        return frozenset(key.name for key in self.keys)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Texts of which every answer that names an object contains at least one."""
        return tuple("0123456789") if self.shape is Shape.BARE_BOXES else tuple(key.name for key in self.keys)

    @cached_property
    def has_box(self) -> bool:
        """True if an object has a box."""
        return any(key.role is Role.BOX for key in self.keys)

    @property
    def positive_points(self) -> int:
        """The number of positive points of an object."""
        return sum(key.count or 1 for key in self.keys if key.role is Role.POSITIVE)

    @property
    def negative_points(self) -> int:
        """The number of negative points of an object."""
        return sum(key.count or 1 for key in self.keys if key.role is Role.NEGATIVE)

    @property
    def example(self) -> str:
        """The answer with placeholder coordinates, as the instruction shows it."""
        if self.shape is Shape.BARE_BOXES:
            return "[[x0, y0, x1, y1]]"
        items = ["{" + ", ".join(f'"{key.name}": {key.example}' for key in form.keys) + "}" for form in self.forms]
        item = ", ".join(items)
        return item if self.shape is Shape.ONE_OBJECT else f"[{item}]"

    def render(self, objects: Sequence[PromptObject]) -> str:
        """The JSON answer that stands for these objects; the inverse of parsing.

        Raises:
            ValueError: if the combination cannot express them (another number of points, or no object at all).
        """
        if self.shape is Shape.BARE_BOXES:
            return json.dumps([_numbers(_box(item)) for item in objects])
        rendered = [self._object(item) for item in objects]
        if self.shape is Shape.ONE_OBJECT:
            if len(rendered) != 1:
                raise ValueError(f"The combination {self.name} holds exactly one object, not {len(rendered)}.")
            return json.dumps(rendered[0])
        return json.dumps(rendered)

    def _object(self, item: PromptObject) -> dict[str, object]:
        if self.kinds:
            for form in self.kinds:
                with suppress(ValueError):
                    return form._object(item)
            raise ValueError(f"No kind of the combination {self.name} can express this object.")
        if self.has_figures:
            (key,) = self.keys
            kind = RotatedBox if key.role is Role.ROTATED else Chain
            if not isinstance(item.figure, kind):
                raise ValueError(f"The combination {self.name} needs a {key.role.value} and the object has none.")
            return {key.name: _rounded(item.figure.numbers)}
        if item.figure is not None:
            raise ValueError(f"The combination {self.name} has no {type(item.figure).__name__}.")
        if (len(item.positive_points), len(item.negative_points)) != (self.positive_points, self.negative_points):
            raise ValueError(
                f"The combination {self.name} needs {self.positive_points} positive and {self.negative_points} "
                "negative points per object."
            )
        points = {Role.POSITIVE: iter(item.positive_points), Role.NEGATIVE: iter(item.negative_points)}
        values: dict[str, object] = {}
        for key in self.keys:
            if key.role is Role.BOX:
                values[key.name] = _numbers(_box(item))
            elif key.count is None:
                values[key.name] = _numbers(next(points[key.role]))
            else:
                values[key.name] = [_numbers(next(points[key.role])) for _ in range(key.count)]
        return values


def _rounded(values: Sequence[Any]) -> list[Any]:
    """Nested coordinates for JSON."""
    return [_rounded(value) if isinstance(value, list) else _numbers([value])[0] for value in values]


def _box(item: PromptObject) -> Sequence[float]:
    if item.bbox is None:
        raise ValueError("The combination needs a box and the object has none.")
    return item.bbox


def _numbers(values: Sequence[float] | Point) -> list[float | int]:
    """The coordinates for JSON. Whole numbers are written without a decimal point."""
    return [int(value) if float(value).is_integer() else value for value in values]


_BOX = Key("bbox_2d", Role.BOX)

_BBOX = PromptCombination(name="bbox", keys=(_BOX,))
_BBOX_POS2 = PromptCombination(name="bbox+pos2", keys=(_BOX, Key("positive_points", Role.POSITIVE, 2)))
_ROTATED = PromptCombination(name="rotated", keys=(Key("rbox_2d", Role.ROTATED),))
_CHAIN = PromptCombination(name="chain", keys=(Key("chain_2d", Role.CHAIN),))
_KINDS = (_BBOX, _BBOX_POS2, _ROTATED, _CHAIN)

PROMPT_COMBINATIONS = Registry(
    "prompt combination",
    (
        _BBOX,
        PromptCombination(name="pos2", keys=(Key("positive_points", Role.POSITIVE, 2),)),
        _BBOX_POS2,
        PromptCombination(name="bbox+pos4", keys=(_BOX, Key("positive_points", Role.POSITIVE, 4))),
        PromptCombination(
            name="bbox+pos2+neg2",
            keys=(_BOX, Key("positive_points", Role.POSITIVE, 2), Key("negative_points", Role.NEGATIVE, 2)),
        ),
        PromptCombination(
            name="seg-zero",
            keys=(Key("bbox", Role.BOX), Key("points_1", Role.POSITIVE), Key("points_2", Role.POSITIVE)),
            shape=Shape.ONE_OBJECT,
        ),
        PromptCombination(name="vision-reasoner", keys=(_BOX, Key("point_2d", Role.POSITIVE))),
        PromptCombination(name="remote-reasoner", keys=(_BOX,), shape=Shape.BARE_BOXES),
        _ROTATED,
        _CHAIN,
        PromptCombination(name="adaptive", keys=tuple(key for kind in _KINDS for key in kind.keys), kinds=_KINDS),
    ),
)
"""Every prompt combination, by name."""

DEFAULT_COMBINATION = "bbox+pos2"
"""The paper's choice."""

ADAPTIVE = "adaptive"
"""Each object takes the kind that suits it: box, box and points, rotated box, or chain (docs/beyond.md)."""

TABLE_6 = ("bbox", "pos2", "bbox+pos2", "bbox+pos4", "bbox+pos2+neg2")
"""The names of the combinations that the paper compares."""
