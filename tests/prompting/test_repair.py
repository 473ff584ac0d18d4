"""A damaged answer is read as what it was meant to be, in time that grows with its length and no faster."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from t2s_pipeline.prompting.repair import Hopeless, repaired

MEANT = [{"bbox_2d": [1, 2, 30, 40], "positive_points": [[3, 4], [5, 6.5]]}, {"bbox_2d": [7, 8, 9, 10]}]
TEXT = json.dumps(MEANT)


@pytest.mark.parametrize(
    "damaged",
    [
        TEXT,
        TEXT.replace('"', "'"),
        TEXT.replace('"', ""),
        TEXT.replace('"', "“"),
        TEXT.replace(", ", " "),
        TEXT.replace(", ", ",, "),
        TEXT.replace("}, {", ",}, {").replace("}]", "},]"),
        f"Here it is:\n```json\n{TEXT}\n``` as asked",
        TEXT[1:-1],
        TEXT[:-1],
        TEXT[:-3],
        TEXT + "]}",
        TEXT.replace("}, {", ", {"),
        TEXT.replace("40], ", "40, "),
        TEXT.replace("[3, 4], [5, 6.5]]}", "[3, 4], [5, 6.5]}"),
        TEXT.replace("6.5", "6.50e0"),
    ],
)
def test_what_was_meant_is_found(damaged):
    assert repaired(damaged) == MEANT


def test_an_object_without_braces_in_a_list_is_an_object():
    assert repaired('["bbox_2d": [1, 2, 3, 4]]') == [{"bbox_2d": [1, 2, 3, 4]}]


@pytest.mark.parametrize(
    ("number", "value"),
    [("-7", -7), ("5.", 5.0), ("9" * 19, 10**19 - 1), ("9" * 20, 1e20), ("9" * 21, 1e21), ("1e400", float("inf"))],
)
def test_a_number_is_whole_up_to_19_digits(number, value):
    (read,) = repaired(f"[{number}")
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("text", ["", "no target", "]]}}", ":::", "[" * 20, '"a": 1', "[1] " * 7000])
def test_nothing_is_made_of_nothing(text):
    with pytest.raises(Hopeless):
        repaired(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(-1e6, 1e6).map(lambda v: round(v, 3)),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner, max_size=4)
        ),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, list | dict))
)
@settings(max_examples=200, deadline=None)
def test_sound_json_without_free_text_is_left_alone(value):
    text = json.dumps(value)
    # Keys that are words of JSON itself are read as such, and no combination has one.
    if not any(f'"{word}"' in text for word in ("true", "false", "null")):
        assert repaired(text) == value


@given(st.text("[]{}:,\"'0123456789.-eE abn\n", max_size=400))
@example("{:{:{:")
@example("[a:[a:[a:" * 9)
@settings(max_examples=300, deadline=None)
def test_no_text_raises_anything_else(text):
    try:
        assert isinstance(repaired(text), list | dict)
    except Hopeless:
        pass
