"""The plan of the house: which room may import which, who may import torch, and who Dagster."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from t2s_pipeline.core.settings import REPO

ROOMS = (
    "core",
    "vision",
    "lake",
    "prompting",
    "segmenters",
    "prompters",
    "pseudo_labels",
    "datasets",
    "methods",
    "evaluation",
    "rewards",
    "training",
    "systems",
    "scenes",
    "reporting",
    "worker",
    "steps",
    "checks",
    "miniature",
    "assets",
    "jobs",
    "definitions",
    "commands",
    "cli",
)
"""Lowest first: a room imports only rooms above it in this list. docs/architecture.md says what each holds."""

MOST_ARROWS = 130
LOOSE = {"__init__", "cli", "definitions"}
"""The only modules that lie at the top of the package, beside the rooms."""


def sources() -> list[Path]:
    """Every Python file of the library, the assets and the jobs."""
    return sorted(path for folder in ("t2s_pipeline", "assets", "jobs") for path in (REPO / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room that a module of ours lies in: a folder of the library, ``assets`` or ``jobs``."""
    parts = module.split(".")
    return parts[1] if parts[0] == "t2s_pipeline" and len(parts) > 1 else parts[0]


@cache
def imports(path: Path, lazy: bool) -> frozenset[str]:
    """The modules that a file imports; with ``lazy``, those inside functions too."""
    tree = ast.parse(path.read_text("utf-8"))
    known = {name_of(source) for source in sources()}
    modules: set[str] = set()
    for node in ast.walk(tree) if lazy else _at_import(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= (inner & known) | ({node.module} if not inner <= known else set())
    return frozenset(modules)


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: no function's body, and nothing under ``TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)


def arrows() -> dict[tuple[str, str], list[str]]:
    """(importing room, imported room) → the imports between them, as ``module -> module``."""
    between: dict[tuple[str, str], list[str]] = {}
    for path in sources():
        for module in imports(path, lazy=True):
            if module.split(".")[0] not in ("t2s_pipeline", "assets", "jobs") or module == "t2s_pipeline":
                continue
            pair = room_of(name_of(path)), room_of(module)
            if pair[0] != pair[1] and pair[0] != "t2s_pipeline":
                between.setdefault(pair, []).append(f"{name_of(path)} -> {module}")
    return between


def closure(root: str) -> dict[str, str]:
    """Every module that is imported, directly or not, when ``root`` is → the module that imports it first."""
    paths = {name_of(path): path for path in sources()}
    importers, waiting = {root: ""}, [root]
    while waiting:
        module = waiting.pop()
        if module not in paths:
            continue
        for imported in imports(paths[module], lazy=False):
            if imported not in importers:
                importers[imported] = module
                waiting.append(imported)
    return importers


def outside(modules: dict[str, str], package: str) -> list[str]:
    """The imports of an installed package among these."""
    return [f"{who} imports {what}" for what, who in modules.items() if what.split(".")[0] == package]


def test_no_room_imports_one_that_comes_after_it() -> None:
    back = [line for (room, other), lines in arrows().items() for line in lines if _place(room) < _place(other)]
    assert back == []


def _place(room: str) -> int:
    assert room in ROOMS, f"{room} has no place in ROOMS"
    return ROOMS.index(room)


def test_the_house_stays_small() -> None:
    between = arrows()
    rooms = {room for pair in between for room in pair}
    print(f"{len(rooms)} rooms, {len(between)} arrows between them")
    assert rooms <= set(ROOMS) and len(ROOMS) <= 26
    assert len(between) <= MOST_ARROWS


def test_nothing_lies_loose_beside_the_rooms() -> None:
    assert {path.stem for path in (REPO / "t2s_pipeline").glob("*.py")} == LOOSE


def test_the_orchestrator_imports_no_torch() -> None:
    # The command line imports the module of a command by its name.
    commands = [name for name in map(name_of, sources()) if room_of(name) == "commands"]
    for entry in ("t2s_pipeline.definitions", "t2s_pipeline.cli", *commands):
        modules = closure(entry)
        heavy = [line for package in ("torch", "transformers", "trl", "sam2") for line in outside(modules, package)]
        assert heavy == []


def test_dagster_is_imported_by_assets_jobs_and_where_they_are_run_only() -> None:
    allowed = {"assets", "jobs", "definitions", "commands"}
    users = {room_of(name_of(path)) for path in sources() if "dagster" in imports(path, lazy=True)}
    assert users <= allowed
    assert outside(closure("t2s_pipeline.worker.__main__"), "dagster") == []
