"""Text from outside cannot act on a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.visible import LONGEST, shortened, visible


@given(st.text())
def test_nothing_acts_and_ordinary_text_is_unchanged(text):
    shown = visible(text)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\t\n" for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    if text.isprintable():
        assert shown == text
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("safe\r\x1b[2Kforged", "safe\\r\\x1b[2Kforged"),
        ("\x9b31m", "\\x9b31m"),
        ("ship\u202egpj", "ship\\u202egpj"),
        ("Straße 道路 🚢 a\u0301", "Straße 道路 🚢 a\u0301"),
    ],
)
def test_what_acts_becomes_an_escape(text, shown):
    assert visible(text) == shown


def test_a_long_message_keeps_its_beginning_and_its_end():
    text = "a" * 10_000 + "z" * 10_000
    assert shortened("short") == "short"
    assert len(shortened(text)) < LONGEST + 10 and shortened(text)[0] == "a" and shortened(text)[-1] == "z"
