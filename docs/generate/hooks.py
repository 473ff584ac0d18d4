"""Hooks of mkdocs: add the generated pages to the site and its navigation; rewrite links to the repository."""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify
from reference import command_line_page, python_page, tables_page, views_page
from repository import REPO, TOP_PAGES, outward_links, page_of, rewrite_links, room_page, rooms, source_of

REFERENCE = {
    "reference/tables.md": tables_page,
    "reference/views.md": views_page,
    "reference/command-line.md": command_line_page,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation: the generated pages, and the pages made from files at the top of the repository."""
    pages: list[Any] = [
        *REFERENCE,
        "reference/environment.md",
        {"Python": [{room: room_page(room)} for room in rooms()]},
    ]
    for entry in config.nav or []:
        if "Reference" in entry:
            entry["Reference"] = pages
        if "Project" in entry:
            entry["Project"] += [page for path, page in TOP_PAGES.items() if path != "README.md" and _exists(path)]
    # Anchors as GitHub makes them, where the same pages are read.
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/: the reference, the pages from the top of the repository, the linked source files."""
    pages = {page: make() for page, make in REFERENCE.items()}
    pages |= {room_page(room): python_page(room) for room in rooms()}
    pages |= {page: (REPO / path).read_text("utf-8") for path, page in TOP_PAGES.items() if _exists(path)}
    written = {file.src_uri: file.content_string for file in files.documentation_pages()}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    for page, text in (written | pages).items():
        for path in outward_links(text, source_of(page)):
            shown = page_of(path)
            if shown.startswith("source/") and shown not in files.src_uris:
                level = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, shown, abs_src_path=str(REPO / path), inclusion=level))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links to files of the repository by links to the pages that show them."""
    return rewrite_links(markdown, page.file.src_uri)


def _exists(path: str) -> bool:
    return (REPO / path).is_file()
