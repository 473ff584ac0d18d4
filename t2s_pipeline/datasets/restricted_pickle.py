"""Reads pickle files of unknown origin, without running code from them.

A pickle is a program. Here it may only build lists, dicts, tuples, strings and numbers. Every operation is checked
before the first one runs. An operation that looks up a name, calls a function or sets state is refused. The size of the
file is limited, and so are the numbers for which the C implementation reserves memory.

A pickle can put one list into many places. So a file of 300 bytes can hold a value that would be terabytes of text, or
that lies inside of itself. Who shows such a value, or walks through it, never ends. The size of the value with every
place counted is limited too, and so is its depth.
"""

import io
import pickle
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import outside_bytes, require_shallow

MAX_BYTES = 256 * 1024 * 1024
"""RRSIS-D's ``refs(unc).p`` has a few megabytes."""
EXPANSION = 64
"""The value may be so many times as large as the file, with a shared value counted at each of its places."""
FREE = 1 << 16
"""A value of this size is allowed whatever the size of the file is."""
_WHOLE = 1 << 63

PLAIN = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
    """.split()
)
"""The operations that are allowed, by pickletools' names."""

_OPERATIONS = {operation.code.encode("latin-1"): operation for operation in pickletools.opcodes}
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
# The errors of pickle and pickletools for bytes that are not a pickle.
_DAMAGE = (pickle.UnpicklingError, ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError)


def read_pickle(path: Path) -> Any:
    """The plain value that the file holds. Strings of Python 2 are decoded as UTF-8.

    Raises:
        InputError: if it is too large, damaged, or holds anything but plain values.
    """
    return loads(outside_bytes(path, MAX_BYTES), str(path))


def loads(data: bytes, name: str) -> Any:
    """As ``read_pickle``, from bytes; ``name`` is the name of the file in messages."""
    try:
        _inspect(data, name)
        value = _Plain(io.BytesIO(data), encoding="utf-8").load()
        require_shallow(value)
        size = _size(value, {})
    except _DAMAGE as error:
        raise InputError(f"{name} is damaged ({type(error).__name__}: {error}): download it again.") from error
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply to be an annotation file.") from error
    if size > max(FREE, EXPANSION * len(data)):
        raise InputError(f"{name} was refused: its {len(data):,} bytes stand for a value of {size:.1e} characters.")
    return value


def _size(value: Any, sizes: dict[int, int]) -> int:
    """The number of characters and values in a value, with shared ones counted at each of their places.

    Args:
        value: of limited depth.
        sizes: the sizes of lists, tuples and dicts that are known, by ``id``.
    """
    if isinstance(value, str):
        return 1 + len(value)
    if not isinstance(value, list | tuple | dict):
        return 1
    if id(value) not in sizes:
        inner = (part for pair in value.items() for part in pair) if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(part, sizes) for part in inner)
    return sizes[id(value)]


def _inspect(data: bytes, name: str) -> None:
    seen = 0
    for operation, argument in _operations(io.BytesIO(data)):
        seen += 1
        if operation.name not in PLAIN:
            raise InputError(
                f"{name} was refused: its operation {operation.name} could run code, and an annotation file "
                "does not need it. Download the file from its publisher."
            )
        if isinstance(argument, int) and abs(argument) > _WHOLE:
            raise InputError(f"{name} was refused: it holds a whole number of more than 64 bits.")
        # The C implementation reserves memory for the highest number, not for how many numbers there are.
        if operation.name in _PUTS and isinstance(argument, int) and argument > seen:
            raise InputError(f"{name} was refused: it gives a value the number {argument} after {seen} operations.")


def _operations(file: io.BytesIO) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    """The operations and their arguments, as ``pickletools.genops`` gives them.

    genops decodes the texts of protocol 0 as ASCII. Python 2 wrote bytes there, such as UTF-8. Their content does not
    matter here, so the line is skipped.

    Raises:
        ValueError: for an unknown operation, or a file that ends before the operation STOP.
    """
    operation = None
    while operation is None or operation.name != "STOP":
        code = file.read(1)
        operation = _OPERATIONS.get(code)
        if operation is None:
            raise ValueError(f"no operation at position {file.tell()}")
        if operation.name == "STRING":
            file.readline()
            yield operation, None
        else:
            yield operation, operation.arg.reader(file) if operation.arg is not None else None


class _Plain(pickle.Unpickler):
    """The second protection: an operation that was not refused before cannot look up a name."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every name."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse every reference to another file."""
        raise pickle.UnpicklingError("it asks for an object from elsewhere")
