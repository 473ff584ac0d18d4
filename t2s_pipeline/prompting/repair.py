"""Repair of JSON that a model damaged, in one pass over the text.

General JSON repairers interpret strings, which takes seconds on hostile text (64 KiB). Answers hold no free text:
brackets and colons are always structure. So one walk over the tokens with a stack of open brackets is enough, and
quotes and commas are skipped. It repairs:

- prose or a code fence around the JSON;
- single, curly or missing quotes;
- missing or doubled commas;
- brackets that are never closed, closed in the wrong order or closed too often;
- a list of objects without its own brackets, or an object without its braces.

It never adds a value that is not in the text.
"""

import re

MAX_DEPTH = 16
"""Open brackets at a time; an answer needs five."""

MAX_TOKENS = 6000
"""Brackets, colons, words and numbers; 120 objects of the longest combination have 4,082."""

_TOKEN = re.compile(r"""[\[\]{}:]|[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[^\s\[\]{}:,"'“”‘’`]+""")
_NUMBER = frozenset("+-0123456789")
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}


Value = list[object] | dict[str, object]


class Hopeless(ValueError):
    """The text holds no JSON that could be repaired, or its brackets are nested too deep."""


class _Open:
    """An open bracket: its value, and for an object the key that waits for a value."""

    __slots__ = ("key", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.key: str | None = None


def repaired(text: str) -> Value:
    """The list or object that a damaged JSON text stands for. Several of them side by side give a list.

    Args:
        text: the damaged JSON, perhaps with other text around it.

    Raises:
        Hopeless: if it holds neither a list nor an object, brackets more than ``MAX_DEPTH`` deep, or more than
            ``MAX_TOKENS`` pieces.
    """
    roots: list[Value] = []
    stack: list[_Open] = []
    for count, match in enumerate(_TOKEN.finditer(text)):
        if count > MAX_TOKENS:
            raise Hopeless(f"more than {MAX_TOKENS} brackets, words and numbers")
        token = match[0]
        if token in ("[", "{"):
            if token == "{" and stack and isinstance(stack[-1].value, dict) and stack[-1].key is None:
                stack.pop()  # The object before was not closed.
            opened = _Open([] if token == "[" else {})
            if stack:
                _put(stack[-1], opened.value)
            else:
                roots.append(opened.value)
            stack.append(opened)
            if len(stack) > MAX_DEPTH:
                raise Hopeless(f"brackets more than {MAX_DEPTH} deep")
        elif token in ("]", "}"):
            _close(stack, list if token == "]" else dict)
        elif token == ":":
            _turn_into_key(stack)
        elif stack:
            _put(stack[-1], _scalar(token))
    if not roots:
        raise Hopeless("neither a list nor an object")
    return roots[0] if len(roots) == 1 else list[object](roots)


def _put(bracket: _Open, value: object) -> None:
    """Add a value to an open list, or a key or its value to an open object."""
    if isinstance(bracket.value, list):
        bracket.value.append(value)
    elif bracket.key is None:
        # Any value in the place of a key is taken as a key, so that an unknown key is reported as such.
        bracket.key = str(value)[:40]
        bracket.value[bracket.key] = None
    else:
        bracket.value[bracket.key] = value
        bracket.key = None


def _close(stack: list[_Open], kind: type[list[object]] | type[dict[str, object]]) -> None:
    """Close the innermost bracket of this kind and all inside it; ignore a bracket too many."""
    for depth in range(len(stack) - 1, -1, -1):
        if isinstance(stack[depth].value, kind):
            del stack[depth:]
            return


def _turn_into_key(stack: list[_Open]) -> None:
    """Handle a colon after a word in a list: the word is a key. The list was not closed, or the object not opened."""
    if not stack or isinstance(stack[-1].value, dict):
        return
    items = stack[-1].value
    if not items or not isinstance(items[-1], str):
        return
    word = items.pop()
    for depth in range(len(stack) - 2, -1, -1):
        if isinstance(stack[depth].value, dict):
            del stack[depth + 1 :]
            _put(stack[depth], word)
            return
    opened = _Open({})
    items.append(opened.value)
    stack.append(opened)
    _put(opened, word)


def _scalar(token: str) -> object:
    if token[0] in _NUMBER:
        try:
            # A longer whole number is no coordinate, and it is slow to convert.
            return int(token) if len(token) < 20 else float(token)
        except ValueError:
            try:
                return float(token)
            except ValueError:
                return token
    return _CONSTANTS.get(token, token)
