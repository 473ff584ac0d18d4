"""The forms in which projects write a segmentation, brought to COCO's: run lengths ``{size, counts}`` or polygons."""

import ast
import re
from typing import Any

from t2s_pipeline.core.outside_files import bounded_json
from t2s_pipeline.core.syntax_trees import syntax_tree
from t2s_pipeline.vision.image_files import UnusableFileError

_BYTES_AS_TEXT = re.compile(r"b'[^']*'|b\"[^\"]*\"")
"""What ``str(counts)`` makes of bytes. A quotation mark is outside of the alphabet of run lengths."""


def coco_form(value: Any) -> Any:
    """The segmentation in COCO's form.

    Read are ``{size, counts}`` and ``{height, width, counts}``, with counts as text, as bytes, as ``str(bytes)``, as a
    list or as the JSON of a list; a text that is the JSON of a segmentation; and polygons. Anything else is returned as
    it is, and refused where it is decoded.

    Raises:
        UnusableFileError: reason ``invalid_mask``, for a text that is no JSON.
    """
    if isinstance(value, str | bytes):
        try:
            value = bounded_json(value)
        except ValueError as fault:
            raise UnusableFileError("invalid_mask", "a text that is no JSON of run lengths or polygons") from fault
    if not isinstance(value, dict):
        return value
    size = value.get("size")
    if size is None and "height" in value and "width" in value:
        size = [value["height"], value["width"]]
    return {**value, "size": _whole_numbers(size), "counts": _counts(value.get("counts"))}


def _whole_numbers(values: Any) -> Any:
    if not isinstance(values, list | tuple):
        return values
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]


def _counts(counts: Any) -> Any:
    if isinstance(counts, str) and _BYTES_AS_TEXT.fullmatch(counts):
        try:
            counts = ast.literal_eval(syntax_tree(counts, "eval"))
        except (ValueError, SyntaxError):
            return counts
    if isinstance(counts, bytes):
        return counts.decode("ascii", errors="replace")
    if isinstance(counts, str) and counts.startswith("[") and "," in counts:  # no comma in the alphabet of run lengths
        try:
            return bounded_json(counts)
        except ValueError:
            return counts
    return _whole_numbers(counts)
