"""The hand-written pages: their links, the rooms they list, and the walks they describe, compared with the code."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO
from tests.test_rooms import ROOMS

PAGES = [
    *(REPO / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((REPO / "docs").rglob("*.md")),
]
ARCHITECTURE = REPO / "docs" / "architecture.md"
WALKS = ["A sample", "A completion", "A dropped checkpoint"]
SET_BY_THE_PROGRAM = {
    "T2S_RAY_LEASE",
    "T2S_TERMINAL",
    "T2S_TETHERED",
    "T2S_UI_HOSTS",
    "T2S_UI_TOKEN",
    "T2S_WORKER_THREADS",
}
"""Variables that one process sets for another. They are not for people."""
MOST_ROOMS_OF_A_WALK = 8
GENERATED = ("tables.md", "views.md", "command-line.md")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(REPO))
)
def test_relative_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^ *```", "", page.read_text("utf-8"), flags=re.M | re.S)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", link)]
    missing = [link for link in links if not _exists(page, link.partition("#")[0])]
    assert missing == []


def _exists(page: Path, link: str) -> bool:
    path = page.parent / link
    # The reference exists on the site only.
    return path.exists() or (path.parent.name == "reference" and path.name in GENERATED)


def test_readme_names_the_test_command_and_stays_short() -> None:
    text = (REPO / "README.md").read_text("utf-8")
    assert "`make test`" in text
    assert len(text.splitlines()) <= 90


def test_the_architecture_lists_the_rooms_in_their_order() -> None:
    section = _section(ARCHITECTURE.read_text("utf-8"), "The rooms")
    listed = re.findall(r"^\| `([\w.]+?)(?:/|\.py)?` \|", section, flags=re.M)
    assert tuple(listed) == ROOMS


def test_the_reference_lists_every_environment_variable() -> None:
    sources = [path for folder in ("t2s_pipeline", "assets", "jobs") for path in (REPO / folder).rglob("*.py")]
    names = {name for path in sources for name in re.findall(r"""["'](T2S_[A-Z_]+)["']""", path.read_text("utf-8"))}
    listed = set(re.findall(r"`(T2S_\w+)`", (REPO / "docs" / "reference" / "environment.md").read_text("utf-8")))
    assert names - listed == SET_BY_THE_PROGRAM


def walks() -> dict[str, list[str]]:
    """The numbered lines of each walk on the page, by the walk's title."""
    text = _section(ARCHITECTURE.read_text("utf-8"), "A newcomer's walk")
    parts = re.split(r"^### (.+)$", text, flags=re.M)
    stops = {
        title: re.findall(r"^\d+\. .+(?:\n +.+)*", body, flags=re.M)
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    return {title: lines for title, lines in stops.items() if lines}


def test_there_are_three_walks() -> None:
    assert list(walks()) == WALKS


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_names_code_that_exists(title: str) -> None:
    for line in walks()[title]:
        links = re.findall(r"\[`([\w.]+)`\]\(\.\./([\w/]+\.(?:py|sql))\)", line)
        assert links, f"{line!r} links to no code"
        for name, path in links:
            assert (REPO / path).is_file(), f"{path} does not exist"
            assert path.endswith(".sql") or name in definitions(path), f"{path} does not define {name}"


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_is_short_and_does_not_come_back(title: str) -> None:
    lines = walks()[title]
    stops = [re.match(r"\d+\. \*\*([\w.]+)\*\*", line) for line in lines]
    assert all(stops), "each line begins with its room"
    names = [stop[1] for stop in stops if stop]
    assert len(names) == len(set(names)), f"{title} comes back to a room: {names}"
    rooms = {_room(path) for line in lines for path in re.findall(r"\]\(\.\./([\w/]+\.(?:py|sql))\)", line)}
    assert set(names) <= rooms
    assert len(rooms) <= MOST_ROOMS_OF_A_WALK, f"{title} passes {sorted(rooms)}"


def _room(path: str) -> str:
    parts = path.split("/")
    if parts[0] == "sql":
        return "lake"
    return parts[1] if parts[0] == "t2s_pipeline" else parts[0]


@cache
def definitions(path: str) -> frozenset[str]:
    """The functions, classes and methods (``Class.method``) that a file defines."""
    tree = ast.parse((REPO / path).read_text("utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def _section(text: str, title: str) -> str:
    """The text under a second-level heading."""
    match = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    assert match, f"docs/architecture.md has no section {title!r}"
    return match[1]
