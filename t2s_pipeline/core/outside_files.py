"""The one way to read small files that other people wrote: settings, indexes, markers, templates.

A folder that other people fill can hold anything under the name of a settings file: a folder, a pipe that never ends, a
device, a link to nowhere, a gigabyte, JSON of a million levels, a number of a million digits. Each of these becomes an
``OutsideFileError`` that says so in one sentence. No other exception comes from these functions.

A link is followed, because people link large files. A name that stands in a file is looked up with ``path_inside``,
which never leaves the folder.
"""

import json
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from t2s_pipeline.core.errors import InputError

SETTINGS_BYTES = 4 * 1024 * 1024
"""The most bytes of a file of settings."""
INDEX_BYTES = 256 * 1024 * 1024
"""The most bytes of an index, or of a list that grows with training."""
DEPTH = 64
"""The most levels of lists and objects in JSON."""
LONGEST_NAME = 255
"""Characters of a file's name. No file system of Linux, macOS or Windows takes more."""
SHOWN = 80
"""Characters of a value that a message shows."""

_CONTAINERS = (dict, list, tuple)
_LONG = b"0" * 19
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class OutsideFileError(InputError):
    """A file from outside that cannot be read.

    Attributes:
        path: the file.
        detail: what is wrong, without the path.
    """

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"{path} cannot be read: {detail}.")
        self.path = path
        self.detail = detail


def open_outside(path: Path) -> BinaryIO:
    """A regular file, opened for reading. Nothing else is opened, so a pipe cannot block and a device does nothing.

    Raises:
        OutsideFileError: if there is no regular file that this user may read.
    """
    try:
        _require_regular(path, os.stat(path).st_mode)
        # The file may have changed since: a pipe that is opened like this does not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as fault:  # ValueError: a path with a null character
        raise OutsideFileError(path, _reason(path, fault)) from fault
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def outside_bytes(path: Path, limit: int = SETTINGS_BYTES) -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        limit: the most bytes.

    Raises:
        OutsideFileError: if it is no regular file, cannot be read, or is larger.
    """
    with open_outside(path) as file:
        try:
            data = file.read(limit + 1)
        except OSError as fault:
            raise OutsideFileError(path, _reason(path, fault)) from fault
    if len(data) > limit:
        raise OutsideFileError(path, f"it has more than {limit:,} bytes")
    return data


def outside_text(path: Path, limit: int = SETTINGS_BYTES) -> str:
    """The text of a file in UTF-8, without a byte-order mark. Arguments and errors as ``outside_bytes``."""
    try:
        return outside_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise OutsideFileError(path, f"it is not UTF-8 ({fault.reason} at byte {fault.start + 1})") from fault


def outside_json(path: Path, limit: int = SETTINGS_BYTES) -> Any:
    """The content of a JSON file. Arguments and errors as ``outside_bytes``, also for what ``bounded_json`` refuses."""
    text = outside_text(path, limit)
    try:
        return bounded_json(text)
    except ValueError as fault:
        raise OutsideFileError(path, f"it is not JSON ({fault})") from fault


def outside_object(path: Path, limit: int = SETTINGS_BYTES) -> dict[str, Any]:
    """The object that a JSON file holds. Arguments and errors as ``outside_json``."""
    content = outside_json(path, limit)
    if not isinstance(content, dict):
        raise OutsideFileError(path, f"it holds a {type(content).__name__} and no object")
    return content


def outside_toml(path: Path, limit: int = SETTINGS_BYTES) -> dict[str, Any]:
    """The content of a TOML file. Arguments and errors as ``outside_bytes``."""
    text = outside_text(path, limit)
    try:
        content = tomllib.loads(text)
        require_shallow(content)
    except (ValueError, RecursionError) as fault:
        detail = "it is nested too deeply" if isinstance(fault, RecursionError) else f"it is not TOML ({fault})"
        raise OutsideFileError(path, detail) from fault
    return content


def bounded_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """The value of a JSON text. A whole number of more than 18 digits becomes a float, which can be infinite.

    Args:
        text: the text, or its bytes in UTF-8.
        object_pairs_hook: as for ``json.loads``.

    Raises:
        ValueError: if it is not JSON, or has more than ``DEPTH`` levels.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    has_long_numbers = _LONG in data.translate(_DIGITS_AS_ZEROS)
    try:
        number = _bounded_number if has_long_numbers else None
        value = json.loads(text, parse_int=number, object_pairs_hook=object_pairs_hook)
        require_shallow(value)
    except RecursionError:
        raise ValueError(f"more than {DEPTH} levels") from None
    return value


def _bounded_number(digits: str) -> int | float:
    return int(digits) if len(digits) < len(_LONG) else float(digits)


def require_shallow(value: Any, depth: int = DEPTH) -> None:
    """Check how deeply lists and objects are nested. A value inside of itself is too deep.

    Raises:
        ValueError: if there are more levels than ``depth``.
    """
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(depth):
        if not level:
            return
        # Each container once per level. Many places can share one, so a level can stand for more than memory holds.
        inside = (inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer))
        level = list({id(inner): inner for inner in inside if isinstance(inner, _CONTAINERS)}.values())
    if level:
        raise ValueError(f"more than {depth} levels")


def is_there(path: Path) -> bool:
    """Whether something has this name, if only a link to nowhere. A name that cannot exist is not there."""
    return os.path.lexists(path)


def home_expanded(path: str | Path) -> Path:
    """The path, with ``~`` as the home folder. A ``~`` that names no user stays as it is."""
    return Path(os.path.expanduser(path))


def entries_of(folder: Path) -> list[Path]:
    """What lies in a folder, by name.

    Raises:
        OutsideFileError: if it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as fault:
        raise OutsideFileError(folder, _reason(folder, fault)) from fault


def path_inside(folder: Path, name: str) -> Path:
    """The path of a name that stands in a file: below the folder.

    Raises:
        OutsideFileError: if the name is empty, absolute, leads out of the folder, or cannot be a file's name.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise OutsideFileError(folder, f"{shown(name)} is no name of a file in this folder")
    if max(map(len, path.parts)) > LONGEST_NAME:
        raise OutsideFileError(folder, f"{shown(name)} is longer than a file's name can be")
    return folder / path


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line, without control characters.

    >>> shown("a" * 100)[-3:], shown([1, "b"]), shown({"a": []})
    ("a…'", 'a list of 2', 'a dict of 1')
    """
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else f"{value[:SHOWN]}…")
    if isinstance(value, bool | float) or value is None:
        return repr(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else f"a number of about {value.bit_length() * 3 // 10} digits"
    if isinstance(value, dict | list | tuple | bytes | set):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in _KINDS if test(mode)), "no regular file")
        raise OutsideFileError(path, f"it is {kind} and not a file")


def _reason(path: Path, fault: Exception) -> str:
    if isinstance(fault, FileNotFoundError) and is_there(path):
        return "it is a link to a file that does not exist"
    if isinstance(fault, FileNotFoundError):
        return "there is no such file"
    return str(fault.strerror if isinstance(fault, OSError) and fault.strerror else fault)
