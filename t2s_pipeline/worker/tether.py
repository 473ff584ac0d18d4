"""A worker ends when its launcher ends, and shows its launcher that it is not stopped.

The worker's standard input is one end of a socket (channel.py). When the launcher ends, however it ends, the kernel
closes the other end. Ranks that torchrun starts inherit the socket. Torchrun gives each rank a session of its own, so a
signal to the worker's process group does not reach them.
"""

import os
import select
import signal
import socket
import threading
import time
from pathlib import Path

from t2s_pipeline.core.children import wake_when_parent_ends
from t2s_pipeline.core.distribution.lease import LEASE, watch_lease
from t2s_pipeline.worker.channel import Heartbeat, Message, Unwatched, send, standard_input

TETHERED = "T2S_TETHERED"
"""The launcher sets this variable to 1. Without it, a terminal or /dev/null could be mistaken for the socket."""

BEAT_SECONDS = 5.0
"""Seconds between two heartbeats."""


def hold(grace: float) -> None:
    """Watch the socket in a thread: SIGTERM to this process when it closes, and SIGKILL ``grace`` seconds later.

    The thread also sends heartbeats. A process whose launcher is on another machine watches its lease in the same way.
    Does nothing if no launcher asked for it.
    """
    if lease := os.environ.get(LEASE):
        watch_lease(Path(lease), lambda: _end(grace))
    if is_tethered():
        wake_when_parent_ends()
        threading.Thread(target=_watch, args=(standard_input(), grace), daemon=True, name="tether").start()


def is_tethered() -> bool:
    """Whether a launcher started this process."""
    return os.environ.get(TETHERED) == "1"


def announce_other_program() -> None:
    """Tell the launcher that this process becomes another program, which sends no heartbeats."""
    if is_tethered():
        with standard_input() as channel:
            _try_to_send(channel, Unwatched(os.getpid()))


def _watch(channel: socket.socket, grace: float) -> None:
    # No event is asked for, so only the end of the connection wakes the thread. Requests are for the main thread.
    ending = select.poll()
    ending.register(channel, 0)
    while not ending.poll(BEAT_SECONDS * 1000):
        _try_to_send(channel, Heartbeat(os.getpid(), time.process_time()))
    _end(grace)


def _end(grace: float) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)


def _try_to_send(channel: socket.socket, message: Message) -> None:
    """Send a message that may be lost: a launcher that is stopped itself does not read, and one that ended cannot."""
    try:
        if select.select([], [channel], [], 0)[1]:
            send(channel, message)
    except OSError:
        return
