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
