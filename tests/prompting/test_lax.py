"""The laxer parser reads what the training parser reads, and what the authors' evaluation reads beyond it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.lax import parse_both
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.vision.geometry import Frame

COMBINATION, FRAME = PROMPT_COMBINATIONS["bbox+pos2"], Frame.square(168)
BOX, POINTS = '"bbox_2d": [10, 20, 50, 60]', '"positive_points": [[20, 30], [40, 50]]'


def answer(payload: str) -> str:
    return f"<think>Because.</think><answer>{payload}</answer>"


@pytest.mark.parametrize(
    ("text", "box", "points"),
    [
        (answer(f"[{{{BOX}}}]"), (10, 20, 50, 60), ()),  # the box alone
        (answer(f"[{{{POINTS}}}]"), None, ((20, 30), (40, 50))),  # the points alone
        (answer(f'[{{{BOX}, {POINTS}, "label": "ship"}}]'), (10, 20, 50, 60), ((20, 30), (40, 50))),  # one key more
        (f"[{{{BOX}, {POINTS}}}]", (10, 20, 50, 60), ((20, 30), (40, 50))),  # no tags at all
        (answer(f"Here: ```json\n[{{{BOX}}}]\n``` done"), (10, 20, 50, 60), ()),  # words around it
    ],
)
def test_what_only_the_laxer_parser_reads(text, box, points):
    assert isinstance(parse(text, COMBINATION, FRAME), FormatError)
    (item,) = parse_both(text, COMBINATION, FRAME).lax.objects
    assert (item.bbox, item.positive_points) == (box, points)


def test_an_empty_list_outside_the_tags_is_a_rejection_to_it():
    assert isinstance(parse("No target: []", COMBINATION, FRAME), FormatError)
    assert parse_both("No target: []", COMBINATION, FRAME).lax.objects == ()


@pytest.mark.parametrize(
    "text",
    [
        "nothing here",
        answer("[{}]"),
        answer('[{"negative_points": [[1, 2], [3, 4]]}]'),
        answer('[{"bbox_2d": [10, 20, 50]}]'),
        answer('[{"bbox_2d": [50, 20, 10, 60]}]'),
        answer('[{"bbox_2d": [10, 20, 50, 600]}]'),  # outside: their evaluation lets it pass, ours does not
        answer('[{"positive_points": [[20, 30]]}]'),  # one of two points
        answer("[1, 2]"),
    ],
)
def test_what_neither_reads_keeps_the_training_parser_s_reason(text):
    readings = parse_both(text, COMBINATION, FRAME)
    assert readings.lax == readings.strict == parse(text, COMBINATION, FRAME)
    assert isinstance(readings.lax, FormatError)


def test_boxes_that_repeat_are_dropped_and_bare_points_stay():
    text = f'[{{{BOX}}}, {{"bbox_2d": [11, 21, 49, 59]}}, {{{POINTS}}}]'
    assert [item.bbox for item in parse_both(text, COMBINATION, FRAME).lax.objects] == [(10, 20, 50, 60), None]


TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
PIECES = st.sampled_from([*TAGS, "[", "]", "{", "}", BOX, POINTS, ",", "```json", "[]", "x", "1e999"])


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(sorted(PROMPT_COMBINATIONS)))
def test_it_never_raises_and_agrees_with_the_training_parser_where_that_reads(text, name):
    readings = parse_both(text, PROMPT_COMBINATIONS[name], FRAME)
    assert readings.strict == parse(text, PROMPT_COMBINATIONS[name], FRAME)
    assert isinstance(readings.lax, Answer | FormatError)
    if isinstance(readings.strict, Answer):
        assert readings.lax == readings.strict
