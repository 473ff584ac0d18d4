"""Signals that ask a process to stop, and short work that they must not cut in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to stop: Ctrl-C, ``kill``, and a terminal that closes."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a signal that asks to stop wait for the end of this block.

    A handler that raises an exception can do so between the start of a child process and the assignment of its
    variable. Then nobody knows the child, and it outlives this process. The code that stops the child must already be
    around this block: the signal takes effect at its end. Only the main thread runs handlers, so in another thread this
    does nothing. A signal that is ignored stays ignored, also by the child.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    former = {number: signal.getsignal(number) for number in INTERRUPTS}
    held = {number: handler for number, handler in former.items() if handler not in (None, signal.SIG_IGN)}
    for number in held:
        signal.signal(number, remember)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
