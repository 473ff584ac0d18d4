"""Child processes that end when their parent ends, however it ends.

Every pool of processes is made by ``process_pool``. A process that waits for work does not notice by itself that its
parent was killed: the other processes of the pool hold the queue open.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait

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
