"""`make setup` works once and only when needed; `make test` runs both environments and fails if either does."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Stands for an interpreter: notes what it is asked, makes environments that hold itself, and fails where told to.
PYTHON = """#!/bin/sh
echo "$0 $*" >> "$CALLS"
case "$*" in
  *version_info*) exit "${OLD:-0}" ;;
  *"-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
  *"-m pip"*) exit "${PIP:-0}" ;;
  *"-m pytest"*) case "$0" in *worker*) exit "${WORKER:-0}" ;; *) exit "${ORCHESTRATOR:-0}" ;; esac ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` needs of a checkout, and a stand-in for Python in front of the path."""
    folder = tmp_path / "checkout"
    for name in ("Makefile", "pyproject.toml", ".ci/environment", ".ci/run"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / name, folder / name)
    (tmp_path / "bin").mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (tmp_path / "bin" / name).write_text(PYTHON)
        (tmp_path / "bin" / name).chmod(0o755)
    return folder


def make(checkout: Path, *arguments: str, command: str = "make", **environment: str) -> subprocess.CompletedProcess:
    calls = checkout.parent / "calls"
    calls.write_text("")
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        [command, *arguments],
        cwd=checkout,
        env={**kept, "PATH": path, "CALLS": str(calls), **environment},
        capture_output=True,
        text=True,
    )


def calls(checkout: Path, word: str) -> list[str]:
    return [line for line in (checkout.parent / "calls").read_text().splitlines() if word in line]


def test_setup_makes_both_environments_each_with_its_extra(checkout: Path):
    done = make(checkout, "setup")
    assert done.returncode == 0, done.stderr
    first, second = calls(checkout, "pip install")
    assert first.startswith(".venv/") and ".[orchestrator,dev]" in first
    assert second.startswith(".venv-worker/") and ".[worker,dev]" in second


def test_setup_is_skipped_until_pyproject_changes(checkout: Path):
    make(checkout, "setup")
    again = make(checkout, "setup")
    assert again.stdout == ""
    assert not calls(checkout, "pip")
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# another dependency\n")
    make(checkout, "setup")
    assert len(calls(checkout, "pip install")) == 2
    assert not calls(checkout, "venv --clear"), "a working environment is brought up to date, not thrown away"


def test_a_failed_setup_says_so_and_is_done_again(checkout: Path):
    failed = make(checkout, "demo", PIP="1")
    assert failed.returncode != 0
    assert "could not be installed" in failed.stderr
    assert make(checkout, "setup").returncode == 0
    assert calls(checkout, "pip install")


def test_an_old_python_is_one_sentence(checkout: Path):
    done = make(checkout, "setup", OLD="1")
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr
    assert not calls(checkout, "venv")


@pytest.mark.parametrize(
    ("orchestrator", "worker", "passes"),
    [("0", "0", True), ("1", "0", False), ("0", "1", False), ("5", "0", True), ("0", "5", True), ("5", "5", False)],
)
def test_the_suite_runs_in_both_and_fails_if_either_does(checkout: Path, orchestrator: str, worker: str, passes: bool):
    done = make(checkout, "test", "PYTEST_ARGS=-k something", ORCHESTRATOR=orchestrator, WORKER=worker)
    assert len(calls(checkout, "-m pytest -k something")) == 2
    assert (done.returncode == 0) is passes


def test_continuous_integration_does_the_same_from_anywhere(checkout: Path):
    done = make(checkout, command=str(checkout / ".ci" / "run"), CI="true", WORKER="1")
    assert done.returncode != 0
    assert len(calls(checkout, "-m pytest")) == 2


def test_help_names_every_target(checkout: Path):
    said = make(checkout).stdout
    for target in ("setup", "demo", "ui", "test"):
        assert f"\n{target} " in f"\n{said}"
