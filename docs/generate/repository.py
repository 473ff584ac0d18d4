"""Where a file of the repository appears on the site, and links between pages rewritten to match.

The sources of the pages are read on GitHub as well as on the site. They link to files of the repository, for example
``../t2s_pipeline/lake/store.py``. On the site such a link leads to the reference of the module.
"""

import posixpath
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting-a-problem.md",
}
"""Files at the top of the repository that are pages of the site as well."""

CODE_ROOTS = ("t2s_pipeline", "assets", "jobs")

_LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
_FENCE = re.compile(r"^( *(?:```|~~~).*?^ *(?:```|~~~)\s*?$)", re.M | re.S)


def rooms() -> list[str]:
    """The packages that get a page of the Python reference: each room of the library, the assets and the jobs."""
    inner = sorted(path.parent.name for path in (REPO / "t2s_pipeline").glob("*/__init__.py"))
    return [*(f"t2s_pipeline.{room}" for room in inner), "assets", "jobs"]


def room_page(room: str) -> str:
    """The page of the Python reference that describes a room, such as ``t2s_pipeline.lake``."""
    return f"reference/python/{room.removeprefix('t2s_pipeline.')}.md"


def page_of(path: str) -> str:
    """The page, with its anchor, that shows a file of the repository.

    Args:
        path: relative to the top of the repository.

    Returns:
        A path relative to the top of the site's sources. A file without a page of its own is copied to ``source/``.
    """
    if path in TOP_PAGES:
        return TOP_PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == "sql":
        return "reference/views.md"
    parts = Path(path).parts
    if parts[0] == "sql" and path.endswith(".sql"):
        return f"reference/views.md#{Path(path).stem}"
    if parts[0] in CODE_ROOTS and path.endswith(".py"):
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for room in rooms():
            if module == room or module.startswith(f"{room}."):
                return f"{room_page(room)}#{module}"
    if parts[0] in CODE_ROOTS and (REPO / path).is_dir():
        room = ".".join(parts[:2]) if parts[0] == "t2s_pipeline" else parts[0]
        if room in rooms():
            return room_page(room)
        return "architecture.md"
    return f"source/{path}"


def source_of(page: str) -> str:
    """The file of the repository that a page is made from, relative to the top of the repository."""
    for path, top_page in TOP_PAGES.items():
        if page == top_page:
            return path
    return page.removeprefix("source/") if page.startswith("source/") else f"docs/{page}"


def outward_links(text: str, source: str) -> list[str]:
    """The files of the repository outside ``docs/`` that a page links to, relative to the top of the repository."""
    targets = [_target(match[2], source) for match in _LINK.finditer(_without_code(text))]
    return [path for path in targets if path is not None and not path.startswith("docs/")]


def rewrite_links(text: str, page: str) -> str:
    """The text of a page with each link to a file of the repository replaced by a link to the page that shows it.

    Args:
        text: Markdown, with links relative to the file that it was read from.
        page: the page that shows it, relative to the top of the site's sources.
    """
    source = source_of(page)

    def replace(match: re.Match[str]) -> str:
        path = _target(match[2], source)
        if path is None or (source.startswith("docs/") and path.startswith("docs/")):
            return match[0]
        shown, _, anchor = page_of(path).partition("#")
        link = posixpath.relpath(shown, posixpath.dirname(page) or ".")
        return f"{match[1]}{link}{match[3] or (f'#{anchor}' if anchor else '')}{match[4]}"

    pieces = _FENCE.split(text)
    return "".join(piece if _FENCE.fullmatch(piece) else _LINK.sub(replace, piece) for piece in pieces)


def _without_code(text: str) -> str:
    return _FENCE.sub("", text)


def _target(link: str, source: str) -> str | None:
    """The file that a relative link leads to; None for the web, for an anchor alone, and for what does not exist."""
    if not link or re.match(r"[a-z]+:", link):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return path if not path.startswith("..") and (REPO / path).exists() else None
