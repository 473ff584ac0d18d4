"""The one rule for the names of experiments, systems and watched folders: they become folders and partition keys."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import shown

LONGEST = 100
"""Characters. Folders, files and locks put up to a hundred more around a name, and a file's name ends at 255."""

RULE = f"small letters and digits, with single . + _ - between them, at most {LONGEST} characters"
"""The rule in words, for messages."""

_NAME = re.compile(r"[a-z0-9]+([.+_-][a-z0-9]+)*")


def is_name(text: str) -> bool:
    """Tell whether a text follows the rule.

    >>> is_name("think2seg-mini"), is_name("Think2Seg"), is_name("a--b"), is_name("a" * 101)
    (True, False, False, False)
    """
    return len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def require_name(text: str, kind: str) -> str:
    """Return the text if it follows the rule.

    Args:
        text: the name to check.
        kind: what it names, for the message, e.g. ``system``.

    Raises:
        InputError: if it does not follow the rule.
    """
    if not is_name(text):
        raise InputError(f"{shown(text)} cannot be the name of a {kind}: use {RULE}.")
    return text


FEW = 12
"""So many names are given in full in a message."""


def alternatives(name: str, names: Iterable[str], listed_by: str = "") -> str:
    """The end of a message about a name that does not exist: a sentence with those that do.

    Of many names it has the most similar ones only.

    Args:
        name: what was asked for.
        names: those that exist.
        listed_by: the command that prints all of them.

    >>> alternatives("gren", ["green", "red"])
    'There are: green, red.'
    >>> alternatives("gren", ["green", *(f"colour-{number}" for number in range(20))], "t2s colours")
    'The most similar of 21: green. See t2s colours.'
    """
    known = list(names)
    if len(known) <= FEW:
        return f"There are: {', '.join(known)}." if known else "There is none."
    see = f" See {listed_by}." if listed_by else ""
    similar = get_close_matches(name, known, n=5)
    if not similar:
        return f"There are {len(known)}, {', '.join(known[:5])} among them.{see}"
    return f"The most similar of {len(known)}: {', '.join(similar)}.{see}"
