"""The one rule for the names of experiments, systems and watched folders: they become folders and partition keys."""

import re

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
