"""Numbers in environment variables."""

import os

from t2s_pipeline.core.errors import InputError


def positive_number(variable: str, default: float) -> float:
    """The number in an environment variable; the default if it is not set or empty.

    Raises:
        InputError: if it is not a number above 0.
    """
    text = os.environ.get(variable, "")
    try:
        number = float(text or default)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise InputError(f"{variable} is {text!r}: give a number above 0.")
    return number
