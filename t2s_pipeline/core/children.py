"""Child processes that end when their parent ends, however it ends.

Every pool of processes is made by ``process_pool``, and every other process by ``Child``. A process that waits for work
does not notice by itself that its parent was killed: the other processes of the pool hold the queue open.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.parent_death import signal_when_parent_ends


@contextmanager
def process_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of new Python processes that end with this process.

    They are started anew (``spawn``) and do not copy this process, which may have threads.

    Raises:
        T2SError: if the system ends one of them, for example because memory is short.
    """
    try:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), end_with_parent) as pool:
            yield pool
    except BrokenProcessPool as fault:
        raise T2SError(
            f"One of {processes} processes that shared this work was ended from outside: the machine may be out of "
            "memory. Run the same command again; what was finished before is kept."
        ) from fault


class Child:
    """A new Python process that ends with this process, and this process's end of a pipe to it.

    Args:
        target: a function of a module; the process calls it with its end of the pipe and ``arguments``.
        arguments: they are pickled.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(target, theirs, *arguments))
        with theirs:
            self._process.start()

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    def end(self, grace: float = 0.0) -> str:
        """End the process if it does not end by itself within ``grace`` seconds; return how it ended, in words."""
        self.connection.close()
        self._process.join(grace)
        was_running = self._process.exitcode is None
        if was_running:
            # A process that is stopped (SIGSTOP) ends by this signal too.
            self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        if was_running:
            return "it was ended"
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _run(target: Callable[..., None], connection: Connection, *arguments: Any) -> None:
    end_with_parent()
    target(connection, *arguments)


def end_with_parent() -> None:
    """Let this process end at once when the process that started it through multiprocessing has ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wake_when_parent_ends()
    threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True, name="end with the parent").start()


def wake_when_parent_ends() -> None:
    """Let a stopped process (SIGSTOP) continue when its parent ends, so that it can end too.

    A process that is not stopped ignores this signal.
    """
    signal_when_parent_ends(signal.SIGCONT)


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
