"""Text of files whose encoding nobody states: UTF-8, or what a byte-order mark says."""

import codecs

from t2s_pipeline.core.errors import InputError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""The mark of UTF-32 comes before that of UTF-16, whose first bytes are the same."""


def text_of(data: bytes, errors: str = "strict") -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark.

    Args:
        data: the content of the file.
        errors: as for ``bytes.decode``; it holds for UTF-8 only. With ``surrogateescape`` one bad byte spoils one line
            only, and ``layout.is_text`` is False for that line.

    Raises:
        UnicodeDecodeError: if the bytes are in another encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors if encoding == "utf-8" else "strict")
    return data.decode("utf-8", errors)


def require_encoding(name: str) -> str:
    """The name of an encoding that Python knows.

    Raises:
        InputError: if there is no such encoding.
    """
    try:
        info = codecs.lookup(name)
        "".encode(info.name)
    except LookupError as error:
        raise InputError(f"There is no text encoding {name!r}: give one such as utf-8, utf-16 or cp1252.") from error
    return info.name
