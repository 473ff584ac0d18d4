"""``key=value`` from a command line, read into a frozen dataclass of settings. No torch."""

import dataclasses
import types
import typing
from typing import TypeVar

from t2s_pipeline.core.errors import InputError

Settings = TypeVar("Settings")

_LENGTHS = {"steps": "epochs", "epochs": "steps"}
_KINDS = {int: "a whole number", float: "a number", str: "a text"}


def replaced(settings: Settings, path: list[str], text: str, key: str) -> Settings:
    """``settings`` with the field at ``path`` read from ``text``."""
    kinds = typing.get_type_hints(type(settings))
    if path[0] not in kinds:
        raise InputError(f"There is no setting {key!r}; here are {', '.join(kinds)}.")
    nested = dataclasses.is_dataclass(kinds[path[0]])
    if nested != (len(path) > 1):
        raise InputError(f"{key!r} is {'a group of settings' if nested else 'one setting'}, see `t2s experiments`.")
    if nested:
        return dataclasses.replace(settings, **{path[0]: replaced(getattr(settings, path[0]), path[1:], text, key)})
    changes = {path[0]: _read(text, kinds[path[0]], key)}
    # A run is as long as its steps or its epochs say: naming one drops the other.
    if path[0] in _LENGTHS and changes[path[0]] is not None:
        changes[_LENGTHS[path[0]]] = None
    try:
        return dataclasses.replace(settings, **changes)
    except ValueError as fault:
        raise InputError(f"{key}: {fault}.") from fault


def _read(text: str, kind, key: str):
    """A value of a field's type from the command line."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in options and text.lower() in ("none", "null"):
        return None
    wanted = next(option for option in options if option is not type(None))
    if wanted is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{key} is true or false, not {text!r}.")
        return text.lower() == "true"
    try:
        return wanted(text)
    except ValueError:
        raise InputError(f"{key} needs {_KINDS.get(wanted, 'a value')}, not {text!r}.") from None
