"""Whatever a prompter writes is read, or refused with a reason; nothing raises."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination, Role, Shape
from t2s_pipeline.prompting.elements import MAX_COMPLETION_BYTES, MAX_OBJECTS
from t2s_pipeline.prompting.lax import parse_both
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.prompting.templates import answer_text
from t2s_pipeline.vision.figures import Chain, RotatedBox
from t2s_pipeline.vision.geometry import Frame, PromptObject

FRAME = Frame(168, 168)
DEFAULT = PROMPT_COMBINATIONS["bbox+pos2"]
ONE = '[{"bbox_2d": [1, 2, 30, 40], "positive_points": [[3, 4], [5, 6]]}]'


def reply(payload: str) -> str:
    return answer_text("because", payload)


def number() -> st.SearchStrategy[float]:
    return st.one_of(st.integers(0, 168), st.floats(0, 168, allow_nan=False, width=32)).map(float)


def prompt_object(combination: PromptCombination) -> st.SearchStrategy[PromptObject]:
    point = st.tuples(number(), number())
    side = st.lists(number(), min_size=2, max_size=2, unique=True).map(sorted)
    box = st.tuples(side, side).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))

    def points(count: int):
        return st.lists(point, min_size=count, max_size=count).map(tuple)

    roles = {key.role for form in combination.forms for key in form.keys if not combination.kinds}
    if Role.ROTATED in roles:
        size = st.floats(1, 200, width=32)
        figures = st.builds(RotatedBox, number(), number(), size, size, st.floats(-90, 90, width=32))
        return figures.map(lambda figure: figure.prompts(FRAME))
    if Role.CHAIN in roles:
        chains = st.lists(point, min_size=2, max_size=8, unique=True).map(lambda points: Chain(tuple(points)))
        return chains.map(lambda figure: figure.prompts(FRAME))
    if combination.kinds:
        return st.one_of([prompt_object(form) for form in combination.kinds])
    return st.builds(
        PromptObject,
        box if combination.has_box else st.none(),
        points(combination.positive_points),
        points(combination.negative_points),
    )


@pytest.mark.parametrize("name", PROMPT_COMBINATIONS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_rendered_parses_to_itself(name, data):
    combination = PROMPT_COMBINATIONS[name]
    single = combination.shape is Shape.ONE_OBJECT
    objects = tuple(
        data.draw(
            st.lists(prompt_object(combination), min_size=int(single), max_size=1 if single else 4), label="objects"
        )
    )
    parsed = parse(reply(combination.render(objects)), combination, FRAME, drop_duplicates=False)
    assert parsed == Answer("because", objects, repaired=False)


@pytest.mark.parametrize("name", PROMPT_COMBINATIONS)
@given(text=st.one_of(st.text(), st.text('<>/thinkaswer[]{}",:0123456789.-eE \n')))
@settings(max_examples=150, deadline=None)
def test_no_text_raises(name, text):
    for candidate in (text, reply(text)):
        parsed = parse(candidate, PROMPT_COMBINATIONS[name], FRAME)
        assert isinstance(parsed, Answer | FormatError)


@given(cut=st.integers(0, 120), noise=st.text(max_size=5))
@settings(deadline=None)
def test_what_a_repair_yields_obeys_the_rules(cut, noise):
    parsed = parse(reply(ONE[:cut] + noise), DEFAULT, FRAME)
    if isinstance(parsed, Answer):
        for item in parsed.objects:
            x0, y0, x1, y1 = item.bbox
            assert 0 <= x0 < x1 <= 168 and 0 <= y0 < y1 <= 168 and len(item.positive_points) == 2


def test_an_empty_list_says_that_there_is_no_target():
    assert parse(reply("[]"), DEFAULT, FRAME) == Answer("because", (), repaired=False)


def test_white_space_between_the_blocks_and_a_code_fence_are_fine():
    text = f"<think>why</think>\n <answer>```json\n{ONE}\n```</answer>\n"
    assert parse(text, DEFAULT, FRAME) == Answer(
        "why", (PromptObject((1, 2, 30, 40), ((3, 4), (5, 6))),), repaired=False
    )


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"bbox_2d": [1, 2, 3, 4]}', "layout"),
        ('[{"bbox_2d": [1, 2, 30, 40]}]', "keys"),
        (ONE.replace("}]", ', "extra": 1}]'), "keys"),
        (ONE.replace("[[3, 4], [5, 6]]", "[[3, 4]]"), "point_count"),
        (ONE.replace("[[3, 4], [5, 6]]", "[[3, 4], [5, 6], [7, 8]]"), "point_count"),
        (ONE.replace("[3, 4]", "[3]"), "coordinates"),
        (ONE.replace("[3, 4]", '["3", 4]'), "number"),
        (ONE.replace("[3, 4]", "[true, 4]"), "number"),
        (ONE.replace("[3, 4]", "[NaN, 4]"), "number"),
        (ONE.replace("[3, 4]", "[1e999, 4]"), "number"),
        (ONE.replace("[3, 4]", f"[{'9' * 400}, 4]"), "number"),
        (ONE.replace("[3, 4]", "[3, 169]"), "outside"),
        (ONE.replace("[1, 2, 30, 40]", "[30, 2, 1, 40]"), "box_order"),
        (ONE.replace("[1, 2, 30, 40]", "[1, 2, 1, 40]"), "box_order"),
        (ONE.replace("[1, 2, 30, 40]", "[-1, 2, 30, 40]"), "outside"),
        (ONE.replace("[1, 2, 30, 40]", "[1, 2, 30, 169]"), "outside"),
        ("", "json"),
        ("[", "json"),
        ("no target", "json"),
        (json.dumps([{"bbox_2d": [1, 2, 3, 4]}] * (MAX_OBJECTS + 1)), "too_many_objects"),
    ],
)
def test_a_malformed_answer_has_its_reason(payload, reason):
    parsed = parse(reply(payload), DEFAULT, FRAME)
    assert isinstance(parsed, FormatError)
    assert (parsed.reason, parsed.tags_ok) == (reason, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ONE,
        f"<answer>{ONE}</answer>",
        f"<think>a</think><think>b</think><answer>{ONE}</answer>",
        f"<answer>{ONE}</answer><think>a</think>",
        f"words <think>a</think><answer>{ONE}</answer>",
        f"<think>a</think> words <answer>{ONE}</answer>",
        f"<think>a</think><answer>{ONE}</answer> words",
    ],
)
def test_wrong_tags_are_a_format_error(text):
    parsed = parse(text, DEFAULT, FRAME)
    assert isinstance(parsed, FormatError)
    assert (parsed.reason, parsed.tags_ok) == ("tags", False)


def test_a_repair_is_recorded_and_can_be_refused():
    damaged = reply(ONE.replace('"', "'"))
    assert parse(damaged, DEFAULT, FRAME).repaired is True
    assert parse(damaged, DEFAULT, FRAME, repair=False).reason == "json"


def test_a_completion_over_the_size_cap_is_refused():
    assert parse(reply("[" + " " * MAX_COMPLETION_BYTES + "]"), DEFAULT, FRAME).reason == "too_long"
    # 65,536 bytes are allowed. Bytes count, not characters: a letter of three bytes is among them.
    room = 65_536 - len(answer_text("あ", ONE).encode())
    assert isinstance(parse(answer_text("あ" + "x" * room, ONE), DEFAULT, FRAME), Answer)
    assert parse(answer_text("あ" + "x" * (room + 1), ONE), DEFAULT, FRAME).reason == "too_long"
    assert parse(answer_text("あ" * 22_000, ONE), DEFAULT, FRAME).reason == "too_long"


def test_an_answer_may_have_120_objects():
    box_only = PROMPT_COMBINATIONS["bbox"]
    corners = [(12 * (number % 13), 12 * (number // 13)) for number in range(121)]
    boxes = [{"bbox_2d": [x, y, x + 10, y + 10]} for x, y in corners]
    assert len(parse(reply(json.dumps(boxes[:120])), box_only, FRAME).objects) == 120
    assert parse(reply(json.dumps(boxes)), box_only, FRAME).reason == "too_many_objects"


def test_deep_nesting_is_refused():
    assert parse(reply("[" * 30_000), DEFAULT, FRAME).reason == "json"


def test_of_two_boxes_that_overlap_by_more_than_half_the_larger_stays():
    # 10×10 inside 12×10: intersection 100, union 120, IoU 0.83 > 0.5. The third box is elsewhere.
    combination = PROMPT_COMBINATIONS["bbox"]
    boxes = [(0, 0, 10, 10), (0, 0, 12, 10), (50, 50, 60, 60)]
    text = reply(combination.render([PromptObject(box) for box in boxes]))
    assert [item.bbox for item in parse(text, combination, FRAME).objects] == boxes[1:]
    assert [item.bbox for item in parse(text, combination, FRAME, drop_duplicates=False).objects] == boxes


def test_boxes_that_overlap_by_just_half_both_stay():
    # 10×10 and 5×10 inside it: intersection 50, union 100, IoU 0.5, which is not more than 0.5.
    combination = PROMPT_COMBINATIONS["bbox"]
    boxes = [(0, 0, 10, 10), (0, 0, 5, 10)]
    text = reply(combination.render([PromptObject(box) for box in boxes]))
    assert [item.bbox for item in parse(text, combination, FRAME).objects] == boxes


def test_remote_reasoner_may_give_one_flat_box():
    parsed = parse(reply("[1, 2, 3, 4]"), PROMPT_COMBINATIONS["remote-reasoner"], FRAME)
    assert parsed.objects == (PromptObject((1, 2, 3, 4)),)


def test_seg_zero_cannot_say_that_there_is_no_target():
    assert parse(reply("[]"), PROMPT_COMBINATIONS["seg-zero"], FRAME).reason == "layout"


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("rotated", '[{"rbox_2d": [10, 10, 0, 5, 0]}]', "box_order"),
        ("rotated", '[{"rbox_2d": [10, 10, 8, 5, 361]}]', "box_order"),
        ("rotated", '[{"rbox_2d": [-1, 10, 8, 5, 0]}]', "outside"),
        ("rotated", '[{"rbox_2d": [10, 10, 8, 5]}]', "coordinates"),
        ("chain", '[{"chain_2d": [[1, 2]]}]', "point_count"),
        ("chain", '[{"chain_2d": [[1, 2], [999, 2]]}]', "outside"),
        ("adaptive", '[{"positive_points": [[1, 2], [3, 4]]}]', "keys"),
        ("adaptive", '[{"bbox_2d": [1, 2, 3, 4], "chain_2d": [[1, 2], [3, 4]]}]', "keys"),
    ],
)
def test_a_figure_that_is_none_is_refused(name, payload, reason):
    parsed = parse(reply(payload), PROMPT_COMBINATIONS[name], FRAME)
    assert isinstance(parsed, FormatError) and parsed.reason == reason


def test_an_adaptive_answer_takes_a_kind_per_object():
    payload = '[{"bbox_2d": [1, 2, 30, 40]}, {"chain_2d": [[5, 5], [50, 60]]}, {"rbox_2d": [80, 80, 40, 8, 45]}]'
    parsed = parse(reply(payload), PROMPT_COMBINATIONS["adaptive"], FRAME)
    box, chain, rotated = parsed.objects
    assert (box.bbox, box.positive_points) == ((1, 2, 30, 40), ())
    assert chain.bbox is None and len(chain.positive_points) == 5
    assert rotated.bbox is not None and len(rotated.positive_points) == 3 and len(rotated.negative_points) == 2
    assert parse_both(reply(payload), PROMPT_COMBINATIONS["adaptive"], FRAME).lax == parsed
