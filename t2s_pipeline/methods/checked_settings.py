"""Checks of settings that hold for every dataclass of them."""

import math
import types
import typing

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import shown


def check_types(settings: object, prefix: str) -> None:
    """Require that every field has its declared type (an int can stand for a float) and is finite.

    Raises:
        InputError: if one has not.
    """
    for name, kind in typing.get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
        allowed = (*options, int) if float in options else options
        fits = isinstance(value, allowed) and (bool in options or not isinstance(value, bool))
        require(fits, f"{prefix}{name} cannot be {shown(value)}")
        require(not isinstance(value, float) or math.isfinite(value), f"{prefix}{name} must be finite")
        require(not isinstance(value, int) or abs(value) < 2**63, f"{prefix}{name} has more than 63 bits")


def require(holds: bool, message: str) -> None:
    """Refuse settings for which something does not hold.

    Raises:
        InputError: with the message as a sentence, if it does not hold.
    """
    if not holds:
        raise InputError(f"{message}.")
