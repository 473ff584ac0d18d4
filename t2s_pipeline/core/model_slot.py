"""Models that stay in memory for the next command of the same process, at most one of each kind.

A worker that is kept (worker/serve.py) answers many commands with few models. Before another model of a kind is loaded,
the kept one is dropped, so that two never pile up.
"""

import gc
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")


class ModelSlot(Generic[Thing]):
    """The last thing of one kind that was loaded."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._things: list[Thing] = []
        _ALL.append(self)

    def get(self, key: Hashable, load: Callable[[], Thing]) -> Thing:
        """The kept thing if it has this key; otherwise the one that ``load`` makes, which is kept from now on.

        Args:
            key: everything that the thing depends on.
            load: makes it.
        """
        if not self._things or self._key != key:
            self.drop()
            self._things, self._key = [load()], key
        return self._things[0]

    def drop(self) -> None:
        """Give the kept thing's memory back."""
        if self._things:
            self._things = []
            gc.collect()


_ALL: "list[ModelSlot[Any]]" = []


def drop_all() -> None:
    """Give the memory of everything that is kept back."""
    for slot in _ALL:
        slot.drop()


def file_states(*paths: Path) -> tuple[tuple[str, int, int, int], ...]:
    """What changes when a file is replaced: path, size, time of writing in nanoseconds, and inode of each file.

    Args:
        paths: files, or folders whose files are meant.
    """
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    states = [(file, file.stat()) for file in files if file.is_file()]
    return tuple((str(file), state.st_size, state.st_mtime_ns, state.st_ino) for file, state in states)
