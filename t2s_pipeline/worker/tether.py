"""A worker lives no longer than whoever launched it: it holds one end of a pipe, and ends when the other is closed.

The pipe is the worker's standard input, which ranks started by torchrun inherit, though torchrun gives each a
session of its own that no signal to the worker's group reaches. No torch.
"""

import os
import signal
import sys
import threading
import time

TETHERED = "T2S_TETHERED"
"""Set by the launcher, so that a person's terminal or /dev/null is not mistaken for the pipe."""


def hold(grace: float) -> None:
    """Watch the pipe from a thread of this process: SIGTERM when it closes, SIGKILL ``grace`` seconds later.

    Does nothing where no launcher asked for it.
    """
    if os.environ.get(TETHERED) == "1":
        threading.Thread(target=_watch, args=(sys.stdin.fileno(), grace), daemon=True, name="tether").start()


def _watch(pipe: int, grace: float) -> None:
    while os.read(pipe, 4096):
        pass  # nobody writes; only the end counts
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
