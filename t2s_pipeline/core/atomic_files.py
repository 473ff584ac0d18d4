"""Files that appear whole or not at all: written under another name in the same folder, flushed, and renamed."""

import errno
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from t2s_pipeline.core.errors import T2SError

# A write past a file-size limit gives EFBIG, a write past a quota EDQUOT.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write to. At the end of the block it is renamed to ``path``; after an error it is removed.

    The temporary name starts with a dot and ends in ``.tmp``, so no reader's pattern matches it.

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
    """A temporary name in the folder of ``path``. The folder is created, and the files of killed writers are removed.

    Raises:
        T2SError: if the disk is full.
    """
    with disk_room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(path)
    return path.parent / f".{path.name}.{owner_mark()}-{secrets.token_hex(4)}.tmp"


@contextmanager
def disk_room(path: Path) -> Iterator[None]:
    """Turn the error "no space left" while writing ``path`` into a message that says what to do.

    Raises:
        T2SError: if the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise T2SError(
            f"The disk is full ({os.strerror(error.errno)}) while writing {path}: free some space at "
            f"{path.parent}, then run the same command again. Work that was finished before is not lost."
        ) from error


def flush(path: Path) -> None:
    """Wait until the file's bytes, or the folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_orphans(path: Path) -> None:
    """Remove the temporary files of writers of ``path`` that ran on this host and no longer run."""
    for orphan in path.parent.glob(f".{path.name}.*.tmp"):
        if is_abandoned(orphan.name):
            orphan.unlink(missing_ok=True)


def owner_mark() -> str:
    """``<host>-<pid>``, for the name of a file or folder that is useless after this process has ended."""
    return f"{_host()}-{os.getpid()}"


def is_abandoned(name: str) -> bool:
    """Whether a name holds the mark of a process that ran on this host and no longer runs.

    Args:
        name: a name that ends in ``owner_mark``, a dash and hex digits, and perhaps ``.tmp``.
    """
    match = re.search(rf"[.-]{_host()}-(\d+)-[0-9a-f]+(\.tmp)?$", name)
    return match is not None and not _runs(int(match[1]))


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
