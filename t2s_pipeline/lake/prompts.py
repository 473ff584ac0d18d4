"""The column type of prompts, and the way from a ``PromptObject`` to a value of that type and back."""

from collections.abc import Iterable
from typing import TypedDict

import pyarrow as pa

from t2s_pipeline.vision.geometry import PromptObject

PROMPTS_TYPE = pa.list_(
    pa.struct(
        [
            ("bbox", pa.list_(pa.float32())),
            ("positive_points", pa.list_(pa.list_(pa.float32()))),
            ("negative_points", pa.list_(pa.list_(pa.float32()))),
        ]
    )
)
"""Parsed prompts, one struct per object, in pixels of a resized square. ``bbox`` is null where no box was asked for."""


class PromptValue(TypedDict):
    """One object's prompts as a row holds them. ``bbox`` is x0, y0, x1, y1; a point is x, y."""

    bbox: list[float] | None
    positive_points: list[list[float]] | None
    negative_points: list[list[float]] | None


def prompts_to_arrow(objects: Iterable[PromptObject]) -> list[PromptValue]:
    """The value of a row in a column of ``PROMPTS_TYPE``. Coordinates stay in the frame that they are in."""
    return [
        {
            "bbox": None if item.bbox is None else list(item.bbox),
            "positive_points": [list(point) for point in item.positive_points],
            "negative_points": [list(point) for point in item.negative_points],
        }
        for item in objects
    ]


def prompts_from_arrow(value: Iterable[PromptValue] | None) -> list[PromptObject]:
    """The prompts that a row of a column of ``PROMPTS_TYPE`` holds. A null value holds none."""
    return [
        PromptObject(
            bbox=None if item["bbox"] is None else _box(*item["bbox"]),
            positive_points=tuple((x, y) for x, y in item["positive_points"] or ()),
            negative_points=tuple((x, y) for x, y in item["negative_points"] or ()),
        )
        for item in value or ()
    ]


def _box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    return (x0, y0, x1, y1)
