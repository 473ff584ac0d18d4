"""A combination as a grammar (GBNF, as xgrammar, vLLM and llama.cpp read it) over the whole think-and-answer text."""

import json

from t2s_pipeline.prompting.combinations import Key, PromptCombination, Role, Shape
from t2s_pipeline.prompting.elements import MAX_OBJECTS
from t2s_pipeline.vision.figures import FEWEST, MOST
from t2s_pipeline.vision.geometry import Frame

MAX_THOUGHT = 4000
"""Characters of the think block; without a bound a model that never stops thinking would never answer."""


def grammar(combination: PromptCombination, frame: Frame) -> str:
    """The grammar of a prompt combination. Every text of it parses, unless a box is not ordered.

    Args:
        combination: the prompt combination that is asked for.
        frame: the frame of the coordinates. The grammar admits whole numbers from 0 to its sides.
    """
    if combination.shape is Shape.BARE_BOXES:
        item = "box"
    else:
        item = " | ".join(_object(form) for form in combination.forms)
    rules = {
        "root": '"<think>" thought "</think><answer>" answer "</answer>"',
        "thought": f"[^<>]{{1,{MAX_THOUGHT}}}",
        "answer": "object"
        if combination.shape is Shape.ONE_OBJECT
        else f'"[]" | "[" object (", " object){{0,{MAX_OBJECTS - 1}}} "]"',
        "object": item,
        "box": '"[" x ", " y ", " x ", " y "]"',
        "point": '"[" x ", " y "]"',
        "x": whole_numbers(frame.width),
        "y": whole_numbers(frame.height),
    }
    if combination.has_figures:
        rules["side"] = whole_numbers(min(frame.width, frame.height)).removeprefix('"0" | ')
        rules["angle"] = f'"-"? ({whole_numbers(90)})'
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items()) + "\n"


def _object(combination: PromptCombination) -> str:
    pairs = ' ", " '.join(f"{_literal(json.dumps(key.name) + ': ')} {_value(key)}" for key in combination.keys)
    return f'"{{" {pairs} "}}"'


def _value(key: Key) -> str:
    if key.role is Role.BOX:
        return "box"
    if key.role is Role.ROTATED:
        return '"[" x ", " y ", " side ", " side ", " angle "]"'
    if key.role is Role.CHAIN:
        return f'"[" point (", " point){{{FEWEST - 1},{MOST - 1}}} "]"'
    if key.count is None:
        return "point"
    return '"[" ' + ' ", " '.join(["point"] * key.count) + ' "]"'


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def whole_numbers(limit: int) -> str:
    """Alternatives for 0, 1, …, ``limit``, without leading zeros."""
    digits = str(limit)
    shorter = ['"0"'] + [" ".join(["[1-9]", *["[0-9]"] * (length - 1)]) for length in range(1, len(digits))]
    longest = []
    for position, digit in enumerate(digits):
        least = 1 if position == 0 else 0
        if int(digit) > least:
            rest = ["[0-9]"] * (len(digits) - position - 1)
            longest.append(" ".join([*map(_literal, digits[:position]), f"[{least}-{int(digit) - 1}]", *rest]))
    return " | ".join([*shorter, *longest, " ".join(map(_literal, digits))])
