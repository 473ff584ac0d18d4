"""The documentation site: it is built strictly and offline, and its reference comes from the code."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO

pytestmark = pytest.mark.orchestrator
pytest.importorskip("mkdocs")


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets a test import the modules of docs/generate."""
    monkeypatch.syspath_prepend(str(REPO / "docs" / "generate"))
    yield
    for name in ("reference", "repository"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("generate")
def test_tables_page_has_every_column_with_type_and_meaning() -> None:
    from reference import tables_page

    from t2s_pipeline.lake.schema import TABLES

    page = tables_page()
    for table in TABLES.values():
        assert f"## {table.name} {{" in page
        for column in table.columns:
            assert f"| `{column.name}` | `{column.type}` |" in page
    assert "| `system` | string, partition |" in page


@pytest.mark.usefixtures("generate")
def test_views_page_has_every_file_of_sql_with_its_columns() -> None:
    from reference import views_page

    page = views_page()
    for path in (REPO / "sql").glob("*.sql"):
        assert f"## {path.stem} {{" in page
    assert re.search(r"^\| `giou` \| `DOUBLE` \| \w+", page, flags=re.M)


@pytest.mark.usefixtures("generate")
def test_command_line_page_has_every_command_with_its_options() -> None:
    from reference import command_line_page

    page = command_line_page()
    for command in ("demo", "ingest", "export-dataset", "train", "score", "sql"):
        assert f"## t2s {command} {{" in page
    assert "| `--predictions` | path | required |" in page
    assert "| `--only` | text, several |" in page


@pytest.mark.usefixtures("generate")
def test_links_to_the_repository_lead_to_the_reference() -> None:
    from repository import rewrite_links

    text = "[store](../t2s_pipeline/lake/store.py), [view](../sql/failures.sql), [page](results.md#speed), [web](https://x.org)"
    assert rewrite_links(text, "training.md") == (
        "[store](reference/python/lake.md#t2s_pipeline.lake.store), [view](reference/views.md#failures), "
        "[page](results.md#speed), [web](https://x.org)"
    )
    assert rewrite_links("[r](../../docs/results.md)", "guides/ask.md") == "[r](../../docs/results.md)"
    assert rewrite_links("[r](docs/results.md#speed)", "index.md") == "[r](results.md#speed)"


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_loads_nothing_from_the_web(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    pages = {str(path.relative_to(site)): path.read_text("utf-8") for path in site.rglob("*.html")}
    figure = re.search(r"\d\d\.\d \[\d\d\.\d, \d\d\.\d\]", (REPO / "README.md").read_text("utf-8"))
    assert figure, "README has no figure of the demo"
    for name, words in {
        "index.html": figure.group(),
        "reference/tables.html": 'id="benchmark_metrics"',
        "reference/views.html": 'id="leaderboard"',
        "reference/command-line.html": 'id="t2s-ingest"',
        "reference/python/rewards.html": 'id="t2s_pipeline.rewards.mask_iou"',
        "reference/python/assets.html": 'id="assets.resources"',
    }.items():
        assert words in pages[name], f"{name} has no {words}"
    load = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link(?![^>]*canonical)[^>]*href=["']?(?:https?:)?//"""
    )
    assert [name for name, html in pages.items() if load.search(html)] == []
    styles = [path for path in site.rglob("*.css") if re.search(r"url\([\"']?(?:https?:)?//", path.read_text("utf-8"))]
    assert styles == []


def test_the_pages_name_commands_and_options_that_exist() -> None:
    import typer

    from t2s_pipeline.commands.command_line import command_line

    commands = typer.main.get_command(command_line()).commands  # type: ignore[attr-defined]
    wrong = []
    for page in [REPO / "README.md", REPO / "CONTRIBUTING.md", *(REPO / "docs").rglob("*.md")]:
        for line in re.findall(r"(?:^\s*|`|\| )t2s ([a-z][^`|\n#]*)", page.read_text("utf-8"), flags=re.M):
            words = re.sub(r"\"[^\"]*\"", "", line).split()
            command = commands.get(words[0])
            # A group of commands can be a command of its own: `t2s models`.
            if command is not None and hasattr(command, "commands") and words[1:2] and not words[1].startswith("-"):
                command = command.commands.get(words[1])
            if command is None:
                wrong.append(f"{page.name}: t2s {line}")
                continue
            known = {spelling for parameter in command.params for spelling in parameter.opts} | {"--help"}
            wrong += [
                f"{page.name}: {word} in t2s {line}" for word in words if word.startswith("--") and word not in known
            ]
    assert wrong == []
