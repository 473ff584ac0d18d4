"""A worker ends when its launcher ends: it holds one end of a pipe, and stops when the other end is closed.

The pipe is the worker's standard input. Ranks that torchrun starts inherit it. Torchrun gives each rank a session of
its own, so a signal to the worker's process group does not reach them.
"""

import os
import signal
import sys
import threading
import time

TETHERED = "T2S_TETHERED"
"""The launcher sets this variable to 1. Without it, a terminal or /dev/null could be mistaken for the pipe."""


def hold(grace: float) -> None:
    """Watch the pipe in a thread: SIGTERM to this process when it closes, and SIGKILL ``grace`` seconds later.

    Does nothing if no launcher asked for it.
    """
    if os.environ.get(TETHERED) == "1":
        threading.Thread(target=_watch, args=(sys.stdin.fileno(), grace), daemon=True, name="tether").start()


def _watch(pipe: int, grace: float) -> None:
    while os.read(pipe, 4096):
        pass  # Nobody writes. Only the end of the pipe matters.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
