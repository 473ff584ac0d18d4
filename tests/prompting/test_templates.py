"""The instruction names exactly the keys and counts of its schema, and shows an answer of that shape."""

import re

import pytest

from t2s_pipeline.prompting.schemas import SCHEMAS, Shape
from t2s_pipeline.prompting.templates import instruction


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=str)
def test_the_instruction_names_its_keys_and_counts(schema):
    text = instruction("Where would tankers unload?", schema)
    assert text.endswith("\nQuestion: Where would tankers unload?")
    shown = re.search(r"<answer>(.*)</answer>", text).group(1)
    if schema.shape is not Shape.BARE_BOXES:
        assert re.findall(r'"(\w+)":', shown) == [key.name for key in schema.keys]
    assert shown.count("[x, y]") == schema.positive_points + schema.negative_points
    assert shown.count("[x0, y0, x1, y1]") == int(schema.has_box)


def test_only_a_schema_that_can_say_no_target_mentions_it():
    for schema in SCHEMAS.values():
        assert ("the list is []" in instruction("Q?", schema)) == (schema.shape is not Shape.ONE_OBJECT)


def test_every_schema_has_its_own_text():
    assert len({instruction("Q?", schema) for schema in SCHEMAS.values()}) == len(SCHEMAS)


def test_a_sixth_combination_is_one_entry(monkeypatch):
    from t2s_pipeline.methods.recipe import Recipe
    from t2s_pipeline.prompting.parsing import Answer, parse
    from t2s_pipeline.prompting.schemas import Key, PromptSchema, Role
    from t2s_pipeline.vision.geometry import Frame, PromptObject

    points = (Key("positive_points", Role.POSITIVE, 3), Key("negative_points", Role.NEGATIVE, 1))
    monkeypatch.setitem(SCHEMAS, "pos3+neg1", PromptSchema("pos3+neg1", points))
    schema = SCHEMAS[Recipe(schema="pos3+neg1").schema]
    shown = '[{"positive_points": [[x, y], [x, y], [x, y]], "negative_points": [[x, y]]}]'
    assert shown in instruction("Q?", schema)
    asked = (PromptObject(None, ((1, 2), (3, 4), (5, 6)), ((7, 8),)),)
    parsed = parse(f"<think>t</think><answer>{schema.render(asked)}</answer>", schema, Frame.square(840))
    assert parsed == Answer("t", asked, repaired=False)
