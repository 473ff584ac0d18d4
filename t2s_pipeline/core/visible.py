r"""Text from outside, before it goes to a terminal: characters that act instead of being shown become escapes.

Questions, file names and the answers of models can hold any character. An escape sequence can move the cursor, hide or
forge lines, and set the title of the window. Marks of direction can show a text in another order than it has.
"""

import re

_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, separators of lines and paragraphs, and overrides of direction."""

LONGEST = 4000
"""Characters of a message that are shown."""


def shortened(text: str) -> str:
    """A message without its middle if it is long: a name in a file can have megabytes."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 500]} … {text[-500:]}"


def visible(text: str) -> str:
    r"""The text with acting characters as escapes; tab and line feed stay.

    >>> visible("a\x1b[2Jb\n"), visible("\u202egpj.exe")
    ('a\\x1b[2Jb\n', '\\u202egpj.exe')
    """
    return _ACTING.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
