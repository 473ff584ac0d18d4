"""A lease: remote processes run only while somebody renews it.

The tether of a worker (worker/tether.py) does not reach another machine. So whoever starts remote processes holds a
lease, and each of them watches it. The lease is a small file in T2S_HOME, which all machines see. Its holder writes a
new number into it every few seconds. A watcher looks only at whether the content changes: clocks of machines differ,
and network file systems delay times of files.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from t2s_pipeline.core.atomic_files import disk_room

RENEW_SECONDS = 2.0
LAPSE_SECONDS = 16.0
"""After so long without a new number the lease has ended."""

FOLDER = "leases"

LEASE = "T2S_RAY_LEASE"
"""The environment variable with the lease of the launcher, in a process that runs as a job of a Ray cluster."""


@contextmanager
def held_lease(home: Path) -> Iterator[Path]:
    """Hold a new lease in this block; yield its file.

    Args:
        home: T2S_HOME.

    Raises:
        T2SError: if the disk is full.
    """
    file = home / "tmp" / FOLDER / f"{uuid4().hex}.lease"
    with disk_room(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        _renew(file, 0)
    is_over = threading.Event()

    def renew() -> None:
        number = 0
        while not is_over.wait(RENEW_SECONDS):
            number += 1
            try:
                _renew(file, number)
            except OSError:
                continue  # the watchers decide whether the lease has ended

    thread = threading.Thread(target=renew, daemon=True, name="lease")
    thread.start()
    try:
        yield file
    finally:
        is_over.set()
        thread.join()
        file.unlink(missing_ok=True)


def watch_lease(file: Path, end: Callable[[], None]) -> None:
    """Watch a lease in a thread, and call ``end`` there once it has ended: nobody renews it, or its file is gone.

    Seconds in which the file system does not answer do not count.
    """

    def watch() -> None:
        content, unchanged = b"", 0.0
        while unchanged < LAPSE_SECONDS:
            time.sleep(RENEW_SECONDS)
            try:
                present = file.read_bytes()
            except FileNotFoundError:
                break
            except OSError:
                continue
            unchanged = 0.0 if present != content else unchanged + RENEW_SECONDS
            content = present
        end()

    threading.Thread(target=watch, daemon=True, name="lease").start()


def _renew(file: Path, number: int) -> None:
    # Always the same length, in place: a full disk has room for it.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, b"%020d" % number, 0)
    finally:
        os.close(descriptor)
