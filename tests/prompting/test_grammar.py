"""A grammar admits what its schema's parser reads, and nothing else but boxes that are not ordered."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.grammar import grammar, whole_numbers
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.vision.geometry import Frame

# Only the worker's environment has torch. It must have xgrammar as well: without it, this test fails.
pytest.importorskip("torch")
import xgrammar

pytestmark = pytest.mark.worker


@given(limit=st.integers(0, 1200), number=st.integers(0, 2000))
def test_whole_numbers_up_to_a_limit_and_no_further(limit, number):
    pattern = "|".join(part.replace(" ", "").replace('"', "") for part in whole_numbers(limit).split(" | "))
    assert bool(re.fullmatch(pattern, str(number))) == (number <= limit)
    assert not re.fullmatch(pattern, f"0{number}")


@pytest.mark.parametrize("name", PROMPT_COMBINATIONS)
def test_a_text_of_the_grammar_parses_and_a_wrong_one_is_not_of_it(name):
    combination, frame = PROMPT_COMBINATIONS[name], Frame.square(840)
    compiled = xgrammar.Grammar.from_ebnf(grammar(combination, frame))

    def admits(text: str) -> bool:
        return xgrammar.testing._is_grammar_accept_string(compiled, text)

    payload = combination.example
    figures = (("width", "30"), ("height", "20"), ("angle", "15"))
    for hole, value in (*figures, ("x0", "12"), ("y0", "7"), ("x1", "840"), ("y1", "99"), ("x", "20"), ("y", "0")):
        payload = re.sub(rf"\b{hole}\b", value, payload)
    text = f"<think>It lies there.</think><answer>{payload}</answer>"
    assert admits(text) and isinstance(parse(text, combination, frame), Answer)
    for wrong in (
        text.replace("840", "841"),
        text.replace("20", "-20").replace("12", "-12").replace("-12", "1.5"),
        text.replace("<think>", ""),
        text.replace("</answer>", ""),
        text.replace("12", "012").replace("20", "020"),
        text + " ",
    ):
        assert wrong == text or not admits(wrong), wrong
