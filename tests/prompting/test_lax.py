"""The parser of the reference protocol reads what the authors' evaluation reads."""

import json
import re

import json_repair
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.lax import parse_both
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.vision.geometry import Frame, box_iou
from tests.work import calls_of

COMBINATION, FRAME = PROMPT_COMBINATIONS["bbox+pos2"], Frame.square(168)
BOX, POINTS = '"bbox_2d": [10, 20, 50, 60]', '"positive_points": [[20, 30], [40, 50]]'
SECOND, OTHERS = '"bbox_2d": [90, 90, 120, 120]', '"positive_points": [[95, 95], [100, 100]]'


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


def test_an_exact_copy_is_dropped_too_and_copies_of_bare_points_stay():
    text = f"[{{{BOX}}}, {{{BOX}}}, {{{POINTS}}}, {{{POINTS}}}]"
    objects = parse_both(text, COMBINATION, FRAME).lax.objects
    assert [(item.bbox, item.positive_points) for item in objects] == [
        ((10, 20, 50, 60), ()),
        (None, ((20, 30), (40, 50))),
        (None, ((20, 30), (40, 50))),
    ]


@pytest.mark.parametrize(
    ("payload", "boxes"),
    [
        ("[]\n[]", []),
        ("[", []),
        (f"[{{{BOX}}}\n{{{SECOND}}}]", [(10, 20, 50, 60), (90, 90, 120, 120)]),  # a comma is missing
        (f"[{{{BOX}}}, {{{SECOND}", [(10, 20, 50, 60), (90, 90, 120, 120)]),  # never closed
        ('[{"bbox_2d": [10, 20, 50, 6', None),  # cut within 60: y1 would be 6, and the box is not ordered
        ('[{"bbox_2d": [10, 20, 50, 60, ', [(10, 20, 50, 60)]),
        (f"[{{{BOX}}}]\n[{{{SECOND}}}]", [(90, 90, 120, 120)]),  # the last of several lists of one shape
        (f"[{{{BOX}}}]\n[{{{POINTS}}}]", None),  # lists of different shape: a list of lists
        (f"{{{BOX}}}\n{{{SECOND}}}", None),  # from the first bracket on: the first box is a list in a list
        (f"{BOX}, {POINTS}", None),
        ("none", None),
        ('{"targets": []}', []),  # the brackets inside are all that is read
    ],
)
def test_damaged_json_is_read_as_json_repair_reads_it(payload, boxes):
    lax = parse_both(answer(payload), COMBINATION, FRAME).lax
    if boxes is None:
        assert isinstance(lax, FormatError)
    else:
        assert [item.bbox for item in lax.objects] == boxes


@pytest.mark.parametrize(("length", "is_read"), [(8 * 1024, True), (8 * 1024 + 1, False)])
def test_damaged_json_is_repaired_up_to_eight_thousand_characters(length, is_read):
    first, second = f"[{{{BOX}}}", f"{{{SECOND}}}]"  # a comma is missing
    payload = f"{first}{' ' * (length - len(first) - len(second))}{second}"
    assert isinstance(parse_both(answer(payload), COMBINATION, FRAME).lax, Answer) == is_read


def test_what_both_read_alike_is_one_answer_and_what_they_read_differently_is_two():
    readings = parse_both(answer(f"[{{{BOX}, {POINTS}}}]"), COMBINATION, FRAME)
    assert readings.lax is readings.strict and readings.strict.thought == "Because."
    # A box alone is no answer to the training parser.
    readings = parse_both(answer(f"[{{{BOX}}}]"), COMBINATION, FRAME)
    assert isinstance(readings.strict, FormatError) and isinstance(readings.lax, Answer)


def test_the_two_parsers_may_read_different_prompts_in_one_answer():
    text = answer(f"{{{BOX}, {POINTS}}}")
    readings = parse_both(text, COMBINATION, FRAME)
    assert isinstance(readings.strict, FormatError) and isinstance(readings.lax, FormatError)
    # Without its brackets, a list of objects is repaired by the training parser alone.
    readings = parse_both(answer(f"{{{BOX}, {POINTS}}}, {{{SECOND}, {OTHERS}}}"), COMBINATION, FRAME)
    assert len(readings.strict.objects) == 2 and readings.strict.repaired
    assert isinstance(readings.lax, FormatError)


@pytest.mark.parametrize(
    ("name", "item", "readable"),
    [
        ("bbox+pos2", f'{{{BOX}, {POINTS}, "negative_points": [[1, 2], [3, 4]]}}', False),
        ("bbox+pos2", f'{{{BOX}, {POINTS}, "negative_points": []}}', False),
        ("bbox+pos2", f'{{{BOX}, {POINTS}, "negative_points": null}}', True),
        ("bbox+pos2+neg2", f'{{{BOX}, {POINTS}, "negative_points": [[1, 2], [3, 4]]}}', True),
        ("bbox+pos2+neg2", f"{{{BOX}, {POINTS}}}", True),
        ("bbox", f"{{{BOX}, {POINTS}}}", False),
        ("pos2", f"{{{BOX}, {POINTS}}}", True),
        ("bbox+pos4", f"{{{BOX}, {POINTS}}}", False),
    ],
)
def test_points_must_be_as_many_as_asked_for_and_a_box_is_always_used(name, item, readable):
    lax = parse_both(f"[{item}]", PROMPT_COMBINATIONS[name], FRAME).lax
    assert isinstance(lax, Answer) == readable
    if readable:
        assert lax.objects[0].bbox == (10, 20, 50, 60)


@pytest.mark.parametrize("unit", ["{", "[", "(", '[1"bbox_2d"', "{)["])
def test_the_work_on_hostile_text_grows_with_its_length_and_no_faster(unit):
    # Too long to be repaired.
    short, long = (f"<answer>{(unit * length)[:length]}</answer>" for length in (32768, 65536))
    parse_both(short, COMBINATION, FRAME)
    counts = [calls_of(lambda text=text: parse_both(text, COMBINATION, FRAME)) for text in (short, long)]
    assert counts[1] < 2.5 * counts[0]


# Random answers: JSON of any kind, with the keys of an answer strewn in, wrapped in what models write around it.
NUMBERS = st.integers(-5, 200) | st.floats() | st.text("0123456789.-eNa", max_size=4) | st.none() | st.booleans()
POINT = st.lists(NUMBERS, min_size=1, max_size=3) | st.just([20, 30]) | NUMBERS
KEYS = st.sampled_from(["bbox_2d", "positive_points", "negative_points", "label"])
GOOD = {"bbox_2d": [10, 20, 50, 60], "positive_points": [[20, 30], [40, 50]]}
VALUES = st.lists(POINT, max_size=3) | st.lists(NUMBERS, max_size=5) | st.sampled_from(list(GOOD.values())) | NUMBERS
ITEMS = st.dictionaries(KEYS, VALUES, max_size=4) | st.just(GOOD) | NUMBERS | st.just([])
WRAPS = st.sampled_from(["{}", "<answer>{}</answer>", "<think>[1]</think><answer>```json{}```</answer>", "It is {} !"])


def authors_reading(text: str, positive: int, negative: int) -> list[dict] | None:
    """The rules of the authors' ``parse_sam_json_test`` in plain words; None for an answer that it refuses.

    Added are the two rules of ours: coordinates are numbers inside the frame, boxes are ordered.
    """
    inside = re.search("<answer>(.*?)</answer>", text, re.DOTALL)
    payload = inside[1].strip() if inside else text
    if "[" in payload and "]" in payload:
        payload = payload[payload.index("[") : payload.rindex("]") + 1]
    try:
        value = json.loads(payload)
    except ValueError:
        value = json_repair.loads(payload)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None

    def number(x: object) -> bool:
        return type(x) in (int, float) and 0 <= x <= FRAME.width

    def box(x: object) -> bool:
        return isinstance(x, list) and len(x) == 4 and all(map(number, x)) and x[0] < x[2] and x[1] < x[3]

    def points(x: object, count: int) -> bool:
        if x is None:
            return count == 0
        well_formed = isinstance(x, list) and 0 < len(x) == count
        return well_formed and all(isinstance(p, list) and len(p) == 2 and all(map(number, p)) for p in x)

    for item in value:
        if "bbox_2d" not in item and "positive_points" not in item:
            return None
        if "bbox_2d" in item and not box(item["bbox_2d"]):
            return None
        if "positive_points" in item and not points(item["positive_points"], positive):
            return None
        if "negative_points" in item and not points(item["negative_points"], negative):
            return None
    boxed = sorted((item for item in value if "bbox_2d" in item), key=lambda item: -area(item["bbox_2d"]))
    stays: list[int] = []
    for item in boxed:
        if all(box_iou(item["bbox_2d"], larger["bbox_2d"]) <= 0.5 for larger in boxed if id(larger) in stays):
            stays.append(id(item))
    return [item for item in value if "bbox_2d" not in item or id(item) in stays]


def area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


@given(st.lists(ITEMS, max_size=4), WRAPS, st.sampled_from(["bbox+pos2", "bbox+pos2+neg2", "pos2"]), st.data())
def test_random_json_is_read_by_the_authors_rules(value, wrap, name, data):
    payload = json.dumps(value)
    if data.draw(st.booleans(), "damaged"):
        place = data.draw(st.integers(0, len(payload)), "place")
        payload = (
            payload[:place] + data.draw(st.sampled_from(["", "\n", ",", "]", "}", "[", "'"])) + payload[place + 1 :]
        )
    text, combination = wrap.replace("{}", payload), PROMPT_COMBINATIONS[name]
    expected = authors_reading(text, combination.positive_points, combination.negative_points)
    readings = parse_both(text, combination, FRAME)
    assert readings.strict == parse(text, combination, FRAME)
    if expected is None:
        assert isinstance(readings.lax, FormatError)
        return
    read = [(item.bbox, item.positive_points, item.negative_points) for item in readings.lax.objects]
    assert read == [
        (
            tuple(item["bbox_2d"]) if "bbox_2d" in item else None,
            *(tuple(map(tuple, item.get(key) or ())) for key in ("positive_points", "negative_points")),
        )
        for item in expected
    ]


TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
PIECES = st.sampled_from([*TAGS, "[", "]", "{", "}", BOX, POINTS, ",", "```json", "[]", "x", "1e999"])


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(sorted(PROMPT_COMBINATIONS)))
def test_it_never_raises_and_keeps_the_training_parser_s_reading_beside_its_own(text, name):
    readings = parse_both(text, PROMPT_COMBINATIONS[name], FRAME)
    assert readings.strict == parse(text, PROMPT_COMBINATIONS[name], FRAME)
    assert isinstance(readings.lax, Answer | FormatError)
    if isinstance(readings.strict, Answer) and not readings.strict.repaired:
        assert readings.lax is readings.strict
