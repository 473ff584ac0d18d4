"""Registries: the named objects of one kind (benchmarks, methods, …), to which a project of your own can add.

A module of your own registers its objects when it is imported::

    from t2s_pipeline.datasets.registry import BENCHMARKS

    BENCHMARKS.register(Benchmark(...))

``T2S_EXTENSIONS`` names such modules, separated by commas. They are imported once, in the orchestrator and in the
worker alike: when a registry is first asked for all of its names, or for a name that it does not know.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import TypeVar

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import alternatives

EXTENSIONS = "T2S_EXTENSIONS"
"""The environment variable that names the modules to import, separated by commas."""

Item = TypeVar("Item")


class Registry(Mapping[str, Item]):
    """The objects of one kind by name, in the order in which they were registered.

    >>> colours = Registry("colour", ["red", "blue"], key=str)
    >>> colours.named("green")
    Traceback (most recent call last):
    t2s_pipeline.core.errors.InputError: There is no colour 'green'. There are: red, blue.
    """

    def __init__(self, kind: str, items: Iterable[Item] = (), key: Callable[[Item], str] = attrgetter("name")) -> None:
        self.kind = kind
        self._key = key
        self._items: dict[str, Item] = {}
        for item in items:
            self.register(item)

    def register(self, item: Item) -> Item:
        """Add an object and return it.

        Raises:
            InputError: if its name is taken.
        """
        name = self._key(item)
        if name in self._items:
            raise InputError(f"There are two objects of the kind {self.kind} with the name {name!r}. Rename one.")
        self._items[name] = item
        return item

    def named(self, name: str) -> Item:
        """The object of that name.

        Raises:
            InputError: if there is none.
        """
        if name not in self:
            raise InputError(f"There is no {self.kind} {name!r}. {alternatives(name, self._items)}")
        return self._items[name]

    def __getitem__(self, name: str) -> Item:
        # Built-in objects are looked up while the package is still being imported, which extensions could not yet use.
        if name not in self._items:
            import_extensions()
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        import_extensions()
        return iter(self._items)

    def __len__(self) -> int:
        import_extensions()
        return len(self._items)


_imported: set[str] = set()


def import_extensions() -> None:
    """Import the modules that ``T2S_EXTENSIONS`` names, each once per process.

    Raises:
        InputError: if a module cannot be found.
    """
    for module in filter(None, (name.strip() for name in os.environ.get(EXTENSIONS, "").split(","))):
        if module in _imported:
            continue
        # Before the import, because the module itself looks things up in registries.
        _imported.add(module)
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as fault:
            if fault.name is None or not f"{module}.".startswith(f"{fault.name}."):
                raise
            _imported.discard(module)
            raise InputError(
                f"{EXTENSIONS} names the module {module}, which cannot be found: put its folder on PYTHONPATH."
            ) from fault
