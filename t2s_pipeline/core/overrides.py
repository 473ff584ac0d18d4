"""``key=value`` of a command line, read into a frozen dataclass of settings."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import alternatives

Settings = TypeVar("Settings", bound=Any)
"""A frozen dataclass. Every field has a simple type or is such a dataclass itself."""

_LENGTHS = {"steps": "epochs", "epochs": "steps"}
_KINDS = {int: "a whole number", float: "a number", str: "a text"}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings, as JSON has them, with dotted keys: ``{"grpo": {"steps": 2}}`` is ``{"grpo.steps": 2}``."""
    pairs: dict[str, Any] = {}
    for key, value in settings.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return pairs


def with_setting(settings: Settings, path: list[str], text: str, key: str) -> Settings:
    """A copy of the settings with one field read from a text.

    Args:
        settings: a frozen dataclass.
        path: the names of the fields that lead to the field, e.g. ``["grpo", "steps"]``.
        text: the new value. ``none`` or ``null`` is None where the field allows it.
        key: the name of the field for messages.

    Raises:
        InputError: if there is no such field, or the text does not fit it.
    """
    kinds = typing.get_type_hints(type(settings))
    if path[0] not in kinds:
        raise InputError(f"There is no setting {key!r}. {alternatives(path[0], kinds)}")
    nested = dataclasses.is_dataclass(kinds[path[0]])
    if nested != (len(path) > 1):
        raise InputError(f"{key!r} is {'a group of settings' if nested else 'one setting'}, see `t2s experiments`.")
    if nested:
        return dataclasses.replace(settings, **{path[0]: with_setting(getattr(settings, path[0]), path[1:], text, key)})
    changes = {path[0]: _read(text, kinds[path[0]], key)}
    # Either the steps or the epochs say how long a run is, so setting one removes the other.
    if path[0] in _LENGTHS and changes[path[0]] is not None:
        changes[_LENGTHS[path[0]]] = None
    try:
        return dataclasses.replace(settings, **changes)
    except ValueError as fault:
        raise InputError(f"{key}: {fault}.") from fault


def _read(text: str, kind: Any, key: str) -> Any:
    """A value of a field's type from the command line."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in options and text.lower() in ("none", "null"):
        return None
    target = next(option for option in options if option is not type(None))
    if target is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{key} is true or false, not {text!r}.")
        return text.lower() == "true"
    try:
        return target(text)
    except ValueError:
        raise InputError(f"{key} needs {_KINDS.get(target, 'a value')}, not {text!r}.") from None
