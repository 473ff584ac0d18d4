"""What a piece of work was made from, as one hex string: if it has not changed, the work stands."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path


def code_fingerprint(*modules: str) -> str:
    """sha256 over the Python source of the named modules and of everything inside the named packages.

    A module is found without being imported, so the orchestrator can name one that needs torch. (Its parent
    packages are imported; those of this project hold a docstring only.)

    Raises:
        ModuleNotFoundError: if a name is not a module with source.
    """
    digest = hashlib.sha256()
    for module in sorted(set(modules)):
        for name, path in _sources(module):
            # Line ends differ between checkouts; nothing else is ignored.
            text = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{name}\0{len(text)}\0".encode())
            digest.update(text)
    return digest.hexdigest()


def _sources(module: str) -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.has_location or spec.origin is None:
        raise ModuleNotFoundError(f"no module with source is called {module!r}", name=module)
    if spec.submodule_search_locations is None:
        yield module, Path(spec.origin)
        return
    for folder in map(Path, spec.submodule_search_locations):
        for path in sorted(folder.rglob("*.py")):
            yield f"{module}/{path.relative_to(folder).as_posix()}", path


def fingerprint(**parts: object) -> str:
    """sha256 of the parts as canonical JSON: sorted keys, dataclasses as objects, paths as text, sets sorted.

    >>> fingerprint(data="ab12", settings={"seed": 0}) == fingerprint(settings={"seed": 0}, data="ab12")
    True

    Raises:
        TypeError: for a part that has no canonical form (an array, a function, NaN's kin raise ValueError).
    """
    text = json.dumps(parts, sort_keys=True, default=_plain, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a fingerprint")
