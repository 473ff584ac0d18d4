"""A signal to this process when its parent ends (Linux only).

It imports little, because processes call it first.
"""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def signal_when_parent_ends(number: signal.Signals) -> None:
    """Let the system send this signal to this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
