"""The environment variables that processes on other machines get from this one."""

import os

_PREFIXES = ("T2S_", "HF_")
_SECRETS = frozenset({"HF_TOKEN"})
"""A Ray cluster shows the variables of a job to all of its users. Nothing is downloaded there without a person."""


def passed_on() -> dict[str, str]:
    """The settings of our commands and of the Hub's library, without secrets."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES) and name not in _SECRETS}
