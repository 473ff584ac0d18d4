"""How new files of the lake become visible: all at one moment, for every reader.

One rename is atomic, four renames are not. A process that is killed between them would leave new images beside old
samples, and a reader that looks between them would see both. So the renames are first written into a journal, and the
partitions count as replaced as soon as the journal exists:

- The renames are done under an exclusive lock. A reader of several partitions holds the lock shared while it opens them
  (``steady``), so it sees the lake as it is at one moment.
- A process that was killed leaves its journal. ``steady`` says which files its renames would have moved, and the next
  process that writes does them (``recover``).

A journal is only followed if its digest fits and if it renames a temporary file of a partition to the partition's
place. Any other journal is set aside, and a warning names it.
"""

import errno
import fcntl
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from xxhash import xxh3_128

from t2s_pipeline.core.atomic_files import atomic_file, flush
from t2s_pipeline.lake.folders import FILE_NAME

STAGING = "_staging"
"""The folder of the lake for work that is not finished: pieces of partitions, journals of renames, and the lock."""

_LOCK, _QUEUE = "publishing.lock", "publishing.queue"
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_MOST_BYTES = 1_000_000
_TEMPORARY = re.compile(rf"\.{re.escape(FILE_NAME)}\.[^/]+\.tmp")
_log = logging.getLogger(__name__)


class _BrokenJournalError(Exception):
    """What is wrong with a journal."""


def publish(lake: Path, renames: dict[Path, Path]) -> None:
    """Rename complete files to their places, all at one moment for readers, and all or none if the process is killed.

    Args:
        lake: the folder of the lake.
        renames: temporary file of a partition → the partition's place, in the same folder.
    """
    if len(renames) == 1:
        ((old, new),) = renames.items()
        with changing(lake):
            os.replace(old, new)
        flush(new.parent)
        return
    pairs = [[old.relative_to(lake).as_posix(), new.relative_to(lake).as_posix()] for old, new in renames.items()]
    # The name comes from the files that are replaced: only one process at a time writes them.
    name = _digest([new for _, new in pairs])[:16]
    journal = lake / STAGING / f"renames-{name}.json"
    with atomic_file(journal) as temporary:
        temporary.write_text(json.dumps({"digest": _digest(pairs), "renames": pairs}))
    _follow(lake, journal)


def replace_if_unchanged(temporary: Path, place: Path, former: os.stat_result) -> bool:
    """Rename a file to its place, unless another process has replaced the file there.

    Args:
        temporary: the complete new file. Removed if it is not used.
        place: the file in the lake. The caller holds ``changing``.
        former: the file that the new one was made from.

    Returns:
        Whether it was renamed.
    """
    try:
        is_same = os.path.samestat(place.stat(), former)
    except FileNotFoundError:
        is_same = False
    if is_same:
        os.replace(temporary, place)
    return is_same


def recover(lake: Path) -> None:
    """Do the renames that a killed process left in its journal. Cheap if there is none."""
    for journal in _journals(lake):
        try:
            _follow(lake, journal)
        except OSError as error:
            # A user who may only read sees each partition complete anyway; the owner will do the renames.
            if error.errno not in _READ_ONLY:
                raise


def _follow(lake: Path, journal: Path) -> None:
    """Do the renames of the journal. The result is the same if two processes do them, or one does them twice."""
    with changing(lake):
        try:
            pairs = _read(lake, journal)
            for old, new in pairs:
                if old.exists():  # else it is renamed already
                    _replace(old, new)
        except FileNotFoundError:  # another process was quicker
            return
        except _BrokenJournalError as error:
            _set_aside(journal, str(error))
            return
    for _, new in pairs:
        with suppress(FileNotFoundError):
            flush(new.parent)
    journal.unlink(missing_ok=True)


def _replace(old: Path, new: Path) -> None:
    try:
        os.replace(old, new)
    except IsADirectoryError:
        raise _BrokenJournalError(f"{new} is a folder") from None


@contextmanager
def changing(lake: Path) -> Iterator[None]:
    """Hold the lock under which files of the lake appear and disappear; wait for readers that are opening files."""
    folder = lake / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _QUEUE).open("ab") as queue, (folder / _LOCK).open("ab") as lock:
        # Who waits here for the lock keeps new readers from taking it. Without that, many readers could take turns and
        # a writer would wait for ever.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield


@contextmanager
def steady(lake: Path) -> Iterator[dict[Path, Path]]:
    """Keep the files of the lake as they are, while several of them are opened.

    It yields the files that a killed process did not rename: place in the lake → the temporary file that belongs there.
    Without the right to write, the lock is not taken if nobody has made its file before.
    """
    folder = lake / STAGING
    with ExitStack() as stack:
        queue, lock = (_opened(folder / name, stack) for name in (_QUEUE, _LOCK))
        if queue is not None and lock is not None:
            fcntl.flock(queue, fcntl.LOCK_SH)
            fcntl.flock(lock, fcntl.LOCK_SH)
            fcntl.flock(queue, fcntl.LOCK_UN)
        unfinished: dict[Path, Path] = {}
        for journal in _journals(lake):
            try:
                unfinished |= {new: old for old, new in _read(lake, journal) if old.exists()}
            except FileNotFoundError:
                continue
            except _BrokenJournalError as error:
                _log.warning("%s", _sentence(journal, str(error)))
        yield unfinished


def _opened(path: Path, stack: ExitStack) -> IO[bytes] | None:
    """The file of a lock; None if it can be neither opened nor made."""
    for mode in ("rb", "ab"):
        try:
            return stack.enter_context(path.open(mode))
        except OSError:
            continue
    return None


def broken_journals(lake: Path) -> dict[Path, str]:
    """The journals that cannot be followed, and what is wrong with each."""
    broken = {path: "it was set aside" for path in sorted((lake / STAGING).glob("broken-renames-*"))}
    for journal in _journals(lake):
        try:
            _read(lake, journal)
        except FileNotFoundError:
            continue
        except _BrokenJournalError as error:
            broken[journal] = str(error)
    return broken


def _journals(lake: Path) -> list[Path]:
    return sorted((lake / STAGING).glob("renames-*.json"))


def _read(lake: Path, journal: Path) -> list[tuple[Path, Path]]:
    """(temporary file, place) of each rename.

    Raises:
        FileNotFoundError: if the journal is gone.
        _BrokenJournalError: if it is damaged, or would rename anything but files of partitions.
    """
    status = journal.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise _BrokenJournalError("it is no file, or too large")
    try:
        content = json.loads(journal.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise _BrokenJournalError("it is no JSON") from None
    # An earlier release wrote the list of pairs alone.
    pairs = content.get("renames") if isinstance(content, dict) else content
    if isinstance(content, dict) and content.get("digest") != _digest(pairs):
        raise _BrokenJournalError("it differs from its digest")
    if not isinstance(pairs, list):
        raise _BrokenJournalError("it holds no list of renames")
    return [_rename_of(lake, pair) for pair in pairs]


def _rename_of(lake: Path, pair: object) -> tuple[Path, Path]:
    """A rename of the journal, if it is one that ``publish`` writes."""
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
        raise _BrokenJournalError("it holds something else than pairs of paths")
    old, new = map(PurePosixPath, pair)
    # The names of partitions are percent-encoded.
    is_inside = not new.is_absolute() and ".." not in new.parts and pair[1].isascii() and "\0" not in pair[1]
    is_partition = len(new.parts) > 1 and new.name == FILE_NAME
    is_temporary = old.parent == new.parent and _TEMPORARY.fullmatch(old.name)
    if not (is_inside and is_partition and is_temporary):
        raise _BrokenJournalError("it would rename something else than a file of a partition")
    return lake / old, lake / new


def _digest(content: object) -> str:
    return xxh3_128(json.dumps(content).encode()).hexdigest()


def _set_aside(journal: Path, reason: str) -> None:
    _log.warning("%s", _sentence(journal, reason))
    os.replace(journal, journal.with_name(f"broken-{journal.name}"))


def _sentence(journal: Path, reason: str) -> str:
    return (
        f"{journal} cannot be followed ({reason}). Tables that belong together may differ: "
        "`t2s lake verify` says which, and `t2s lake repair` removes it."
    )
