"""The tools of `make check`, the pre-commit hooks, and the papers of the project."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from t2s_pipeline.core.settings import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
HOOKS = REPO / ".pre-commit-config.yaml"
QUICK = {"ruff-check", "ruff-format", "trailing-whitespace", "yaml", "toml", "large-files"}


@pytest.fixture(scope="module")
def check_types() -> ModuleType:
    """The script .ci/check_types.py as a module."""
    spec = importlib.util.spec_from_file_location("check_types", REPO / ".ci/check_types.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_types"] = module
    spec.loader.exec_module(module)
    return module


def read_yaml(path: Path) -> dict:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(path.read_text("utf-8"))


def test_a_module_is_checked_where_the_packages_that_it_imports_are(check_types: ModuleType, tmp_path: Path) -> None:
    texts = {
        "plain.py": "import json\nfrom t2s_pipeline.core import errors\n",
        "graph.py": "import dagster as dg\n",
        "lazy.py": "def load():\n    from torch.nn import Module\n    return Module\n",
        "serving.py": "import vllm\n",
        "both.py": "import dagster, torch\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    packages = {tmp_path / name: check_types.imported_packages(tmp_path / name) for name in texts}
    assert packages[tmp_path / "plain.py"] == set()
    assignment = check_types.assign(packages, orchestrator={"dagster", "numpy"}, worker={"torch", "numpy"})
    assert {path.name for path in assignment.orchestrator} == {"plain.py", "graph.py"}
    assert {path.name for path in assignment.worker} == {"lazy.py", "serving.py", "both.py"}
    assert [path.name for path in assignment.impossible] == ["both.py"]


def test_every_module_has_an_environment_that_holds_what_it_imports(check_types: ModuleType) -> None:
    if not (check_types.ORCHESTRATOR.exists() and check_types.WORKER.exists()):
        pytest.skip("one of the two environments is not set up")
    packages = {path: check_types.imported_packages(path) for path in check_types.modules([])}
    names = set().union(*packages.values())
    assignment = check_types.assign(
        packages,
        check_types.available(check_types.ORCHESTRATOR, names),
        check_types.available(check_types.WORKER, names),
    )
    assert assignment.impossible == []
    assert REPO / "assets/training.py" in assignment.orchestrator
    assert REPO / "t2s_pipeline/training/run.py" in assignment.worker


def test_pre_commit_runs_the_quick_part_and_fetches_nothing() -> None:
    (repository,) = read_yaml(HOOKS)["repos"]
    assert repository["repo"] == "local"
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert set(hooks) >= QUICK
    assert {hook["language"] for hook in hooks.values()} == {"system"}


@pytest.mark.orchestrator
def test_pre_commit_finds_and_corrects_what_the_hooks_are_for(tmp_path: Path) -> None:
    pytest.importorskip("pre_commit")
    git = shutil.which("git") or pytest.skip("git is not installed")
    shutil.copy2(HOOKS, tmp_path)
    shutil.copy2(REPO / "pyproject.toml", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "module.py").write_text('"""A module."""\n\nx = {  "a":1}\n')
    (tmp_path / "notes.md").write_text("words \n")
    (tmp_path / "broken.toml").write_text("a = \n")
    run = {"cwd": tmp_path, "capture_output": True, "text": True}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run([git, "init", "-q"], check=True, **run)
    subprocess.run([git, "add", "module.py", "notes.md", "broken.toml", HOOKS.name], check=True, **run)
    process = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        env={**environment, "PRE_COMMIT_HOME": str(tmp_path / "cache")},
        **run,
    )
    assert process.returncode != 0
    failed = re.findall(r"^- hook id: (.*)$", process.stdout, re.MULTILINE)
    assert failed == ["ruff-format", "trailing-whitespace", "toml"], process.stdout
    assert (tmp_path / "module.py").read_text() == '"""A module."""\n\nx = {"a": 1}\n'
    assert (tmp_path / "notes.md").read_text() == "words\n"


def test_the_versions_agree() -> None:
    changelog = (REPO / "CHANGELOG.md").read_text("utf-8")
    releases = re.findall(r"^## \[(\d.*?)\] - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    citation = read_yaml(REPO / "CITATION.cff")
    assert releases[0] == (PROJECT["version"], citation["date-released"])
    assert citation["version"] == PROJECT["version"] == version("t2s-pipeline")


def test_the_licence_is_apache_everywhere() -> None:
    assert PROJECT["license"] == "Apache-2.0" == read_yaml(REPO / "CITATION.cff")["license"]
    text = (REPO / "LICENSE").read_text("utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")


def test_the_citation_has_what_the_format_requires() -> None:
    citation = read_yaml(REPO / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["message"] and citation["title"] and citation["authors"]
    paper = citation["preferred-citation"]
    assert paper["type"] == "article" and paper["title"].startswith("Bridging Semantics and Geometry")
    assert [author["family-names"] for author in paper["authors"]] == ["Zhang", "Ge", "Zheng", "Guo", "Liang"]


def test_issue_forms_have_what_a_form_requires() -> None:
    forms = [path for path in (REPO / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert {path.stem for path in forms} == {"bug", "feature"}
    for path in forms:
        form = read_yaml(path)
        assert form["name"] and form["description"]
        identifiers = [part["id"] for part in form["body"]]
        assert len(identifiers) == len(set(identifiers))
        assert all(part["attributes"]["label"] for part in form["body"])
