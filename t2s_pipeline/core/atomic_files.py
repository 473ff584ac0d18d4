"""A file appears whole or not at all: written under another name beside its place, flushed, renamed."""

import errno
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from t2s_pipeline.core.errors import T2SError

# EFBIG is what a write past a file-size limit gives, EDQUOT one past a quota.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write to; on leaving the block it becomes ``path``, and on any error it is removed.

    The temporary name starts with a dot and ends in ``.tmp``, so that no reader's pattern matches it.

    Raises:
        T2SError: if the disk is full.
    """
    temporary = beside(path)
    try:
        with disk_room(path):
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A name beside ``path`` to write to, in a folder that is there; what killed writers left there is removed.

    Raises:
        T2SError: if the disk is full.
    """
    with disk_room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(path)
    return path.parent / f".{path.name}.{owner_mark()}-{secrets.token_hex(4)}.tmp"


@contextmanager
def disk_room(path: Path) -> Iterator[None]:
    """Turn "no space left" while writing ``path`` into one sentence that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise T2SError(
            f"The disk is full ({os.strerror(error.errno)}) while writing {path}: free some space at "
            f"{path.parent}, then run the same command again; what was finished before is kept."
        ) from error


def flush(path: Path) -> None:
    """Have the file's bytes, or the folder's entries, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_orphans(path: Path) -> None:
    """Remove what killed writers of ``path`` left: those of this host that run no more."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        if is_abandoned(left.name):
            left.unlink(missing_ok=True)


def owner_mark() -> str:
    """``<host>-<pid>``, for the name of something that is of no use once this process is gone."""
    return f"{_host()}-{os.getpid()}"


def is_abandoned(name: str) -> bool:
    """Whether a name that holds an owner's mark and a token is that of a process of this host that runs no more."""
    found = re.search(rf"[.-]{_host()}-(\d+)-[0-9a-f]+(\.tmp)?$", name)
    return found is not None and not _runs(int(found[1]))


def _host() -> str:
    return "".join(c if c.isalnum() else "_" for c in socket.gethostname())


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
