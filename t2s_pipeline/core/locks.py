"""One process at a time: of two processes that want the same partition, the second waits and finds it finished."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from t2s_pipeline.core.atomic_files import disk_room


@contextmanager
def only_one(home: Path, what: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock with the name ``what``; wait while another process holds it.

    The operating system gives the lock back when the process that holds it ends, however it ends.

    Args:
        home: T2S_HOME; the lock is a file below it.
        what: what is worked on, in words.
        say: takes a sentence about the process that is waited for.
    """
    path = home / "tmp" / "locks" / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.lock"
    with disk_room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if say is not None:
                file.seek(0)
                say(f"Waiting for {file.read().strip() or 'another process'}, which works on {what}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        with disk_room(path):
            file.truncate(0)
            file.write(f"process {os.getpid()} (since {datetime.now():%Y-%m-%d %H:%M:%S})")
            file.flush()
        yield
