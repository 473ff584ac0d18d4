"""The instruction names exactly the keys and counts of its combination, and shows an answer of that shape."""

import re

import pytest

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, Shape
from t2s_pipeline.prompting.templates import instruction


@pytest.mark.parametrize("combination", PROMPT_COMBINATIONS.values(), ids=str)
def test_the_instruction_names_its_keys_and_counts(combination):
    text = instruction("Where would tankers unload?", combination)
    assert text.endswith("\nQuestion: Where would tankers unload?")
    shown = re.search(r"<answer>(.*)</answer>", text).group(1)
    if combination.shape is not Shape.BARE_BOXES:
        assert re.findall(r'"(\w+)":', shown) == [key.name for key in combination.keys]
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
    from t2s_pipeline.vision.geometry import Frame, PromptObject

    points = (Key("positive_points", Role.POSITIVE, 3), Key("negative_points", Role.NEGATIVE, 1))
    monkeypatch.setitem(PROMPT_COMBINATIONS._items, "pos3+neg1", PromptCombination("pos3+neg1", points))
    combination = PROMPT_COMBINATIONS[Recipe(combination="pos3+neg1").combination]
    shown = '[{"positive_points": [[x, y], [x, y], [x, y]], "negative_points": [[x, y]]}]'
    assert shown in instruction("Q?", combination)
    asked = (PromptObject(None, ((1, 2), (3, 4), (5, 6)), ((7, 8),)),)
    parsed = parse(f"<think>t</think><answer>{combination.render(asked)}</answer>", combination, Frame.square(840))
    assert parsed == Answer("t", asked, repaired=False)
