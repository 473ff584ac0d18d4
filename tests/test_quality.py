"""What must hold of every file of the library, the assets and the jobs: sizes, names and imports."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from t2s_pipeline.core.settings import REPO
from tests.test_rooms import sources

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 60

TRAINING_SCRIPTS = {
    "t2s_pipeline/miniature/train_prompter.py",
    "t2s_pipeline/miniature/train_segmenter.py",
}
"""The two scripts that trained the embedded models. Each is one recipe, read from top to bottom."""

BARE_PARTICIPLES = {"found", "told", "made", "kept", "given", "said", "wanted", "own"}
"""Not names: a name is a noun that says what the thing is."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def label(path: Path) -> str:
    """The path below the repository, or the name of a file that is elsewhere."""
    return path.relative_to(REPO).as_posix() if path.is_relative_to(REPO) else path.name


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


def definitions(path: Path) -> Iterator[Definition]:
    """All functions and classes of a file, also those inside others."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Definition):
            yield node


def imported_names(path: Path) -> Iterator[tuple[str, str, str | None]]:
    """Of each ``from … import …`` in our own packages: the module, the name, and the name after ``as``."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.level or node.module.split(".")[0] in ("t2s_pipeline", "assets", "jobs"):
                yield from ((node.module, alias.name, alias.asname) for alias in node.names)


def long_files(paths: list[Path]) -> list[str]:
    lengths = {label(path): len(path.read_text("utf-8").splitlines()) for path in paths}
    return [
        f"{name}: {lines} lines"
        for name, lines in lengths.items()
        if lines > MOST_LINES_OF_A_FILE and name not in TRAINING_SCRIPTS
    ]


def long_functions(paths: list[Path]) -> list[str]:
    broken = []
    for path in paths:
        for node in definitions(path):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if not isinstance(node, ast.ClassDef) and lines > MOST_LINES_OF_A_FUNCTION:
                broken.append(f"{label(path)}: {node.name}, {lines} lines")
    return broken


def repeated_class_names(paths: list[Path]) -> list[str]:
    names = Counter(node.name for path in paths for node in definitions(path) if isinstance(node, ast.ClassDef))
    return sorted(name for name, count in names.items() if count > 1)


def private_imports(paths: list[Path]) -> list[str]:
    return [
        f"{label(path)}: {name} of {module}"
        for path in paths
        for module, name, _ in imported_names(path)
        if name.startswith("_")
    ]


def private_attributes_of_modules(paths: list[Path]) -> list[str]:
    """Uses such as ``module._name`` of a module that a file imports from our own packages."""
    modules = {label(path).removesuffix(".py").replace("/", ".") for path in sources()}
    broken = []
    for path in paths:
        local = {asname or name for module, name, asname in imported_names(path) if f"{module}.{name}" in modules}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr.startswith("_"):
                if node.value.id in local and not node.attr.startswith("__"):
                    broken.append(f"{label(path)}: {node.value.id}.{node.attr}")
    return broken


def re_exports(paths: list[Path]) -> list[str]:
    broken = []
    for path in paths:
        broken += [f"{label(path)}: {name} as {name}" for _, name, asname in imported_names(path) if name == asname]
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Name) and node.id == "__all__":
                broken.append(f"{label(path)}: __all__")
    return broken


def marked_docstrings(paths: list[Path]) -> list[str]:
    return [label(path) for path in paths if "[torch]" in (ast.get_docstring(tree_of(path)) or "")]


def bare_participles(paths: list[Path]) -> list[str]:
    broken = []
    for path in paths:
        for node in ast.walk(tree_of(path)):
            assigned = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id
            name = assigned or (isinstance(node, ast.arg) and node.arg)
            if name in BARE_PARTICIPLES:
                broken.append(f"{label(path)}: {name}")
    return broken


def test_a_file_has_at_most_300_lines() -> None:
    assert long_files(sources()) == []


def test_a_function_has_at_most_60_lines() -> None:
    assert long_functions(sources()) == []


def test_a_class_name_exists_once() -> None:
    assert repeated_class_names(sources()) == []


def test_a_private_name_stays_in_its_file() -> None:
    assert private_imports(sources()) + private_attributes_of_modules(sources()) == []


def test_nothing_is_exported_again() -> None:
    assert re_exports(sources()) == []


def test_a_docstring_does_not_say_who_imports_torch() -> None:
    assert marked_docstrings(sources()) == []


def test_a_name_is_a_noun() -> None:
    assert bare_participles(sources()) == []


def test_the_training_scripts_are_still_there() -> None:
    assert {label(path) for path in sources()} >= TRAINING_SCRIPTS


BAD = (
    '''"""A module.  [torch]"""

from t2s_pipeline.core import settings
from t2s_pipeline.core.errors import InputError as InputError
from t2s_pipeline.core.settings import _hidden

__all__ = ["Twice"]
settings._name


class Twice:
    class Twice:
        found = 1


def long():
'''
    + "    pass\n" * 300
)


def test_each_rule_reports_a_file_that_breaks_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(BAD)
    rules = (
        long_files,
        long_functions,
        repeated_class_names,
        private_imports,
        private_attributes_of_modules,
        re_exports,
        marked_docstrings,
        bare_participles,
    )
    assert [rule.__name__ for rule in rules if not rule([path])] == []
