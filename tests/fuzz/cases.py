"""How many cases are tried of each kind of hostile input, and how valid documents are damaged.

Continuous integration tries ``CASES``, the same ones in every run. ``make fuzz TIMES=50`` tries 50 times as many, and
new ones each time.
"""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = {
    "answers": 5200,
    "run_lengths": 4000,
    "pickles": 3000,
    "coco": 1200,
    "predictions": 1500,
    "phrases": 1000,
    "tables": 1500,
    "tiff_headers": 1200,
    "checkpoints": 500,
    "sql": 100,
    "overrides": 2000,
}
"""Cases in continuous integration: at least 20,000 in all."""

TIMES = int(os.environ.get("T2S_FUZZ_TIMES", "1"))


def cases_of(kind: str) -> settings:
    """The settings of a test of one kind. No time limit counts: a busy machine is no fault of the input."""
    return settings(
        max_examples=CASES[kind] * TIMES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


def nested(levels: int) -> Any:
    """A list of that many levels."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


_NUMBERS = [None, True, False, -1, 0, 1, 2**31, 2**63, -(2**63), 10**30, 1.5, 1e308, float("inf"), float("nan")]
_TEXTS = ["", " ", "a" * 1000, "\0", "../../etc/passwd", "\x1b[2J", "=1+1", "９", "1e5", "\ud800"]
_LISTS = [[], {}, [[]], [None], {"": {}}, nested(30), nested(80), [0] * 1000, {"size": [10**4] * 2, "counts": [10**8]}]
ODD = st.sampled_from([*_NUMBERS, *_TEXTS, *_LISTS])
"""Values that code does not expect in some place."""


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """A document of JSON values with one to four values replaced, removed, repeated or moved."""
    document = deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(document))
        if not places:
            return draw(ODD)
        container, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(("replace", "replace", "remove", "repeat", "swap")))
        if action == "remove":
            del container[key]
        elif action == "repeat" and isinstance(container, list):
            container.insert(key, deepcopy(container[key]))
        elif action == "swap":
            other, other_key = draw(st.sampled_from(places))
            container[key] = deepcopy(other[other_key]) if _holds(other, other_key) else None
        else:
            container[key] = deepcopy(draw(ODD))
    return document


def _holds(container: Any, key: Any) -> bool:
    return key in container if isinstance(container, dict) else key < len(container)


def _places(value: Any, depth: int = 6) -> Any:
    """(container, key) of every value inside of a document, up to a depth."""
    if depth and isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key], depth - 1)


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with one to six of them changed, a part removed, repeated or replaced, or the end cut off."""
    damage = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        if not damage:
            break
        start = draw(st.integers(0, len(damage) - 1))
        length = draw(st.sampled_from((1, 1, 1, 2, 4, 8, 64)))
        match draw(st.sampled_from(("flip", "flip", "set", "remove", "repeat", "cut"))):
            case "flip":
                damage[start] ^= 1 << draw(st.integers(0, 7))
            case "set":
                damage[start : start + length] = draw(st.binary(min_size=length, max_size=length))
            case "remove":
                del damage[start : start + length]
            case "repeat":
                damage[start:start] = damage[start : start + length]
            case "cut":
                del damage[start + 1 :]
    return bytes(damage)


def as_json(value: Any) -> str:
    """A document as text, as Python writes it: with NaN, Infinity and lone surrogates."""
    return json.dumps(value)


def only(faults: type[Exception] | tuple[type[Exception], ...], work: Callable[[], Any]) -> Any:
    """The result of the work; None if it raises one of the faults that it may raise."""
    try:
        return work()
    except faults:
        return None
