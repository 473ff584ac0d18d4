"""`make setup` works once and only when needed; `make check` and `make test` fail if any part of them does."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Stands for an interpreter: notes what it is asked, makes environments that hold itself, and fails where told to.
# With it come stand-ins for uv: `pip install uv` puts one into the environment, unless PIP_HAS_UV says that it cannot.
PYTHON = """#!/bin/sh
echo "$0 $*" >> "$CALLS"
case "$*" in
  *version_info*) exit "${OLD:-0}" ;;
  *"-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
  *"-m pip install"*" uv")
    [ "${PIP_HAS_UV:-yes}" = yes ] || exit 1
    cp "$(dirname "$CALLS")/uv" "$(dirname "$0")/uv" ;;
  *"-m pip install"*) exit "${PIP:-0}" ;;
  *"-m ruff check"*) exit "${RUFF:-0}" ;;
  *check_types*) exit "${TYPES:-0}" ;;
  *"-m mkdocs"*) exit "${DOCS:-0}" ;;
  *"-m pytest"*)
    echo "1 passed"
    case "$0" in *worker*) exit "${WORKER:-0}" ;; *) exit "${ORCHESTRATOR:-0}" ;; esac ;;
esac
"""
UV = """#!/bin/sh
echo "$0 $*" >> "$CALLS"
case "$*" in *"pip install"*) exit "${UV_INSTALL:-0}" ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` needs of a checkout, a stand-in for Python in front of the path, and no uv on the path."""
    folder = tmp_path / "checkout"
    files = ["Makefile", "pyproject.toml", *(f".ci/{name}" for name in ("environment", "check", "run"))]
    files += [f"constraints/{name}.txt" for name in ("orchestrator", "worker")]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / name, folder / name)
    (tmp_path / "bin").mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (tmp_path / "bin" / name).write_text(PYTHON)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "uv").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "uv").write_text(UV)
    for uv in (tmp_path / "bin" / "uv", tmp_path / "uv"):
        uv.chmod(0o755)
    return folder


def make(checkout: Path, *arguments: str, command: str = "make", **environment: str) -> subprocess.CompletedProcess:
    calls = checkout.parent / "calls"
    calls.write_text("")
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    # What `make test PROCESSES=3` was given is not meant for the make that is tested.
    given = set(re.findall(r"\$\(([A-Z_]+)\)", (REPO / "Makefile").read_text("utf-8")))
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in given and not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        [command, *arguments],
        cwd=checkout,
        env={**inherited, "PATH": path, "CALLS": str(calls), **environment},
        capture_output=True,
        text=True,
    )


def calls(checkout: Path, word: str) -> list[str]:
    return [line for line in (checkout.parent / "calls").read_text().splitlines() if word in line]


def test_setup_makes_both_environments_each_with_its_extras_and_its_constraints(checkout: Path):
    process = make(checkout, "setup")
    assert process.returncode == 0, process.stderr
    first, second = calls(checkout, "uv pip install")
    assert "--python .venv/bin/python" in first and ".[orchestrator,geo,ray,s3,dev,check,docs]" in first
    assert "-c constraints/orchestrator.txt" in first
    assert "--python .venv-worker/bin/python" in second and ".[worker,ray,s3,dev]" in second
    assert "-c constraints/worker.txt --build-constraints constraints/worker.txt" in second


def test_pip_brings_uv_once_and_both_environments_use_it(checkout: Path):
    make(checkout, "setup")
    (bootstrap,) = calls(checkout, "-m pip install")
    assert bootstrap.startswith(".venv/") and bootstrap.endswith("-c constraints/orchestrator.txt uv")
    assert all(line.startswith(".venv/bin/uv ") for line in calls(checkout, "uv pip install"))


def test_a_uv_on_the_path_is_used(checkout: Path):
    shutil.copy2(checkout.parent / "uv", checkout.parent / "bin" / "uv")
    make(checkout, "setup")
    assert not calls(checkout, "-m pip install")
    assert len(calls(checkout, "uv pip install")) == 2


@pytest.mark.parametrize("broken", [{"PIP_HAS_UV": "no"}, {"UV_INSTALL": "1"}])
def test_pip_installs_where_uv_cannot_and_a_message_says_so(checkout: Path, broken: dict[str, str]):
    process = make(checkout, "setup", **broken)
    assert process.returncode == 0, process.stderr
    assert "pip does it instead" in process.stdout
    first, second = (line for line in calls(checkout, "-m pip install") if " -e " in line)
    assert first.startswith(".venv/") and second.startswith(".venv-worker/")


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints/orchestrator.txt"])
def test_setup_is_skipped_until_pyproject_or_a_constraint_changes(checkout: Path, name: str):
    make(checkout, "setup")
    again = make(checkout, "setup")
    assert again.stdout == ""
    assert not calls(checkout, "pip")
    with (checkout / name).open("a") as file:
        file.write("# another version\n")
    make(checkout, "setup")
    assert len(calls(checkout, "uv pip install")) == (2 if name == "pyproject.toml" else 1)
    assert not calls(checkout, "venv --clear"), "a working environment is brought up to date, not thrown away"


def test_a_failed_setup_says_so_and_is_done_again(checkout: Path):
    failed = make(checkout, "demo", UV_INSTALL="1", PIP="1")
    assert failed.returncode != 0
    assert "could not be installed" in failed.stderr
    assert make(checkout, "setup").returncode == 0
    assert calls(checkout, "pip install")


def test_an_old_python_is_one_sentence(checkout: Path):
    process = make(checkout, "setup", OLD="1")
    assert process.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is needed" in process.stderr
    assert not calls(checkout, "venv")


@pytest.mark.parametrize(
    ("orchestrator", "worker", "passes"),
    [("0", "0", True), ("1", "0", False), ("0", "1", False), ("5", "0", True), ("0", "5", True), ("5", "5", False)],
)
def test_the_suite_runs_in_both_and_fails_if_either_does(checkout: Path, orchestrator: str, worker: str, passes: bool):
    process = make(checkout, "test", "PYTEST_ARGS=-k something", ORCHESTRATOR=orchestrator, WORKER=worker)
    assert [call.endswith("-k something") for call in calls(checkout, "-m pytest -n logical --dist loadfile")] == [
        True
    ] * 2
    assert (process.returncode == 0) is passes


@pytest.mark.parametrize("broken", ["RUFF", "TYPES", "DOCS", ""])
def test_the_check_runs_every_part_and_fails_if_one_does(checkout: Path, broken: str):
    process = make(checkout, "check", **({broken: "1"} if broken else {}))
    for part in ("ruff check", "ruff format --check", "check_types", "mkdocs build --strict"):
        assert len(calls(checkout, part)) == 1
    assert (process.returncode == 0) is (not broken)
    assert process.stdout.count("FAILED") == bool(broken)


@pytest.mark.parametrize(("broken", "passes"), [({}, True), ({"TYPES": "1"}, False), ({"WORKER": "1"}, False)])
def test_continuous_integration_checks_and_tests_from_anywhere(checkout: Path, broken: dict[str, str], passes: bool):
    process = make(checkout, command=str(checkout / ".ci" / "run"), CI="true", **broken)
    assert (process.returncode == 0) is passes
    assert len(calls(checkout, "-m pytest")) == 2, "the tests run even if the check fails"
    assert len(calls(checkout, "check_types")) == 1
    assert process.stdout.splitlines()[-1] == "1 passed", "pytest's summary comes last"
    assert ("make check failed" in process.stderr) is ("TYPES" in broken)


def test_help_names_every_target(checkout: Path):
    lines = make(checkout).stdout
    for target in ("setup", "demo", "ui", "test", "check", "docs", "update-constraints"):
        assert f"\n{target} " in f"\n{lines}"
