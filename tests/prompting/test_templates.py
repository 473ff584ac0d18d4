"""The instruction names exactly the keys and counts of its combination; a template from a file takes its place."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, Shape
from t2s_pipeline.prompting.coordinates import Coordinates
from t2s_pipeline.prompting.templates import LENGTHS, Template, instruction, own_template, read_template
from t2s_pipeline.vision.geometry import PromptObject


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("combination", PROMPT_COMBINATIONS.values(), ids=str)
def test_the_instruction_names_its_keys_and_counts(combination, length):
    text = instruction("Where would tankers unload?", combination, length=length)
    assert text.endswith("\nQuestion: Where would tankers unload?")
    shown = re.search(r"<answer>(.*)</answer>", text).group(1)
    if combination.shape is not Shape.BARE_BOXES:
        assert re.findall(r'"(\w+)":', shown) == [key.name for key in combination.keys]
    if combination.has_figures:
        assert {key.name for key in combination.keys} <= set(re.findall(r'"(\w+)"', text))
        return
    assert shown.count("[x, y]") == combination.positive_points + combination.negative_points
    assert shown.count("[x0, y0, x1, y1]") == int(combination.has_box)


def test_only_a_combination_that_can_say_no_target_mentions_it():
    for combination in PROMPT_COMBINATIONS.values():
        assert ("the list is []" in instruction("Q?", combination)) == (combination.shape is not Shape.ONE_OBJECT)


def test_every_combination_has_its_own_text():
    assert len({instruction("Q?", combination) for combination in PROMPT_COMBINATIONS.values()}) == len(
        PROMPT_COMBINATIONS
    )


def test_a_sixth_combination_is_one_entry(monkeypatch):
    from t2s_pipeline.methods.recipe import Recipe
    from t2s_pipeline.prompting.combinations import Key, PromptCombination, Role
    from t2s_pipeline.prompting.parsing import Answer, parse
    from t2s_pipeline.vision.geometry import Frame

    points = (Key("positive_points", Role.POSITIVE, 3), Key("negative_points", Role.NEGATIVE, 1))
    monkeypatch.setitem(PROMPT_COMBINATIONS._items, "pos3+neg1", PromptCombination("pos3+neg1", points))
    combination = PROMPT_COMBINATIONS[Recipe(combination="pos3+neg1").combination]
    shown = '[{"positive_points": [[x, y], [x, y], [x, y]], "negative_points": [[x, y]]}]'
    assert shown in instruction("Q?", combination)
    asked = (PromptObject(None, ((1, 2), (3, 4), (5, 6)), ((7, 8),)),)
    parsed = parse(f"<think>t</think><answer>{combination.render(asked)}</answer>", combination, Frame.square(840))
    assert parsed == Answer("t", asked, repaired=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bbox", ["tight bounding box"]),
        ("pos2", ["exactly two points inside the target"]),
        ("bbox+pos2", ["tight bounding box", "exactly two points inside the target"]),
        ("bbox+pos4", ["tight bounding box", "exactly four points inside the target"]),
        ("bbox+pos2+neg2", ["exactly two points inside the target", "exactly two points outside the target"]),
        ("seg-zero", ["tight bounding box", "exactly one point inside the target"]),
        ("vision-reasoner", ["tight bounding box", "exactly one point inside the target"]),
        ("remote-reasoner", ["one tight bounding box per object"]),
    ],
)
def test_the_full_instruction_says_how_many_points_and_where_boxes_and_points_lie(name, words):
    text = instruction("Q?", PROMPT_COMBINATIONS[name], length="full")
    assert all(word in text for word in words)
    assert ("outside" in text) == ("neg" in name)


def test_the_embedded_prompter_is_asked_with_the_text_that_it_was_trained_on():
    assert instruction("Where is the harbour?", PROMPT_COMBINATIONS["bbox+pos2"]) == (
        "Mark every object that answers the question in one JSON list, in pixels of this overhead image. If nothing "
        "fits, the list is []. Reply: <think>your reasoning</think><answer>"
        '[{"bbox_2d": [x0, y0, x1, y1], "positive_points": [[x, y], [x, y]]}]</answer>\nQuestion: Where is the harbour?'
    )


USER = 'Find "{Question}". Answer [{"bbox_2d": [1, 2, 3, 4]}].'


def test_a_template_is_read_from_toml_and_json_alike(tmp_path):
    (tmp_path / "a.toml").write_text(f"system = 'You look at maps.'\nuser = '''{USER}'''\n")
    (tmp_path / "a.json").write_text(json.dumps({"system": "You look at maps.", "user": USER}))
    read = [read_template(tmp_path / name) for name in ("a.toml", "a.json")]
    assert read[0] == read[1] == Template(USER, "You look at maps.")
    assert read[0].around_image("the pier") == ("", 'Find "the pier". Answer [{"bbox_2d": [1, 2, 3, 4]}].')


def test_the_image_stands_where_the_template_says_and_the_question_in_the_form_that_it_says():
    template = Template("Look: {Image}\nText: {Question}", question="lower")
    assert template.around_image(' "The Big PIER?!"') == ("Look: ", '\nText:  "the big pier')
    assert Template("{Question} in {Image}").around_image("Pier?") == ("Pier? in ", "")


def test_the_hash_is_that_of_the_text():
    texts = [
        Template("{Question}"),
        Template("{Question} "),
        Template("{Question}", "s"),
        Template("{Question}", "", "lower"),
    ]
    assert len({text.sha256 for text in texts}) == len(texts)
    assert Template("{Question}").sha256 == Template("{Question}").sha256
    assert own_template(PROMPT_COMBINATIONS["bbox"]).sha256 != own_template(PROMPT_COMBINATIONS["pos2"]).sha256


@given(st.text(), st.sampled_from(["{Question}", "{Image} {Question}", "a {Question} b {Image} c"]))
def test_a_question_is_never_taken_for_a_placeholder(question, user):
    before, after = Template(user).around_image(question)
    expected = user.replace("{Image}", "") if "{Image}" in user else user
    assert before + after == expected.replace("{Question}", question)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('user = "Where is it?"', r"\{Question\} 0 times, not once"),
        ('user = "{Question} {Question}"', r"\{Question\} 2 times"),
        ('user = "{Image} {Image} {Question}"', r"\{Image\} 2 times"),
        ('user = "{Question} [{{1}}]"', "write single braces"),
        ('user = "{Question}"\nquestion = "upper"', "none of plain, lower"),
        ('user = "{Question}"\nprompt = "x"', "nothing else"),
        ("user = 3", "under the key `user`"),
        ('system = "x"', "under the key `user`"),
        ("user = ", "it is not TOML"),
    ],
)
def test_a_file_that_is_no_template_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"mine\.toml.*{words}"):
        read_template(path)


def test_a_template_that_is_missing_or_not_utf_8_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        read_template(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes('user = "{Question} größer"'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.toml cannot be read \(it is not UTF-8"):
        read_template(tmp_path / "latin.toml")


def test_thousandths_are_named_in_both_lengths():
    for length in LENGTHS:
        text = instruction("Q?", PROMPT_COMBINATIONS["bbox"], Coordinates.THOUSANDTHS, length)
        assert Coordinates.THOUSANDTHS.value in text


PAIR = PromptObject((1, 2, 3, 4), ((1, 2), (2, 3)))


@pytest.mark.parametrize(
    ("name", "objects", "sentence"),
    [
        ("seg-zero", (PAIR, PAIR), "The combination seg-zero holds exactly one object, not 2"),
        ("seg-zero", (), "holds exactly one object, not 0"),
        ("adaptive", (PromptObject(),), "No kind of the combination adaptive can express this object"),
        ("bbox", (PromptObject(),), "needs a box and the object has none"),
    ],
)
def test_objects_that_a_combination_cannot_express_are_refused(name, objects, sentence):
    with pytest.raises(ValueError, match=sentence):
        PROMPT_COMBINATIONS[name].render(objects)
    assert "[1, 2, 3, 4]" in PROMPT_COMBINATIONS["seg-zero"].render((PAIR,))
