"""One process at a time: two runs that want the same partition make it once."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from t2s_pipeline.core.atomic_files import disk_room


@contextmanager
def only_one(home: Path, what: str) -> Iterator[None]:
    """Wait until no other process holds ``what``, and hold it; a process that dies lets go of it."""
    path = home / "tmp" / "locks" / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.lock"
    with disk_room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
