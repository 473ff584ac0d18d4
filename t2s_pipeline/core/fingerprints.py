"""Fingerprints: what a piece of work was made from, as one hex string. If it has not changed, the work is valid."""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path

from t2s_pipeline.core.syntax_trees import syntax_tree


def code_fingerprint(*modules: str) -> str:
    """sha256 over the Python code of the named modules and of everything inside the named packages.

    Comments, docstrings, formatting and line ends do not count, because they change no result.

    A module is found without being imported, so the orchestrator can name one that needs torch. Its parent packages
    are imported; those of this project hold a docstring only.

    Raises:
        ModuleNotFoundError: if a name is not a module with source.
    """
    digest = hashlib.sha256()
    for module in sorted(set(modules)):
        for name, path in _sources(module):
            text = _without_words(path.read_text("utf-8")).encode()
            digest.update(f"{name}\0{len(text)}\0".encode())
            digest.update(text)
    return digest.hexdigest()


def _without_words(source: str) -> str:
    """The code without comments, docstrings and formatting."""
    tree = syntax_tree(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A string alone on a line does nothing: a docstring, or the description of a field.
            node.body = [line for line in body if not _is_text(line)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


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

    Args:
        **parts: what the work was made from, by name.

    Raises:
        TypeError: for a part without a canonical form, such as an array or a function.
        ValueError: for NaN and infinity.
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
    raise TypeError(f"A {type(value).__name__} cannot be part of a fingerprint.")
