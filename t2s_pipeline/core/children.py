"""Child processes that end when their parent ends, however it ends.

Every pool of processes is made by ``process_pool``. A process that waits for work does not notice by itself that its
parent was killed: the other processes of the pool hold the queue open.
"""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait

from t2s_pipeline.core.parent_death import signal_when_parent_ends


def process_pool(processes: int) -> ProcessPoolExecutor:
    """A pool of new Python processes that end with this process.

    They are started anew (``spawn``) and do not copy this process, which may have threads.
    """
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), end_with_parent)


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
