"""Prompts on their way into a table and back."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.lake.prompts import PROMPTS_TYPE, prompts_from_arrow, prompts_to_arrow
from t2s_pipeline.vision.geometry import PromptObject

number = st.floats(0, 4096, width=32)
points = st.lists(st.tuples(number, number), max_size=3).map(tuple)
objects = st.builds(PromptObject, st.none() | st.tuples(number, number, number, number), points, points)


@given(st.lists(objects, max_size=4))
def test_prompts_that_were_written_are_read_again(prompts):
    column = pa.array([prompts_to_arrow(prompts)], PROMPTS_TYPE)
    assert prompts_from_arrow(column.to_pylist()[0]) == prompts


def test_a_null_value_holds_no_prompts():
    assert prompts_from_arrow(None) == []
