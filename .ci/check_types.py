"""Run ``mypy --strict`` over the library, the assets and the jobs: twice, because there are two environments.

One environment has no torch and the other has no Dagster. Each module is checked in the environment that has the
packages it imports: in the orchestrator's if that has them all, otherwise in the worker's. Nothing is listed by hand:
the imports come from the syntax tree, and each environment's interpreter says which of them it can import.

usage: .venv/bin/python .ci/check_types.py [path...]     (default: t2s_pipeline assets jobs)
"""

import ast
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
FOLDERS = ("t2s_pipeline", "assets", "jobs")
ORCHESTRATOR = REPO / ".venv/bin/python"
WORKER = REPO / ".venv-worker/bin/python"

ASK = """
import importlib.util, json, sys
names = json.load(sys.stdin)
json.dump([name for name in names if importlib.util.find_spec(name)], sys.stdout)
"""


def modules(paths: list[str]) -> list[Path]:
    """The Python files among the paths and in the folders among them."""
    places = [REPO / path for path in paths or FOLDERS]
    return sorted(file for place in places for file in ([place] if place.is_file() else place.rglob("*.py")))


def imported_packages(path: Path) -> set[str]:
    """The packages of other projects that a file imports, also inside functions: the first part of each name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {*FOLDERS, "tests"}


def available(python: Path, packages: set[str]) -> set[str]:
    """Those of the packages that this interpreter can import. It looks for them and imports none."""
    answer = subprocess.run(
        [python, "-c", ASK], input=json.dumps(sorted(packages)), capture_output=True, text=True, check=True, cwd="/"
    )
    return set(json.loads(answer.stdout))


@dataclass(frozen=True)
class Assignment:
    """The environment that each file is checked in."""

    orchestrator: list[Path]
    worker: list[Path]
    impossible: list[Path]
    """Files that import packages which no environment has together."""


def assign(packages: dict[Path, set[str]], orchestrator: set[str], worker: set[str]) -> Assignment:
    """Choose the environment of each file.

    Args:
        packages: the packages that each file imports.
        orchestrator: the packages that the orchestrator's environment has.
        worker: the packages that the worker's environment has.
    """
    for_worker = [path for path, names in packages.items() if not names <= orchestrator]
    return Assignment(
        orchestrator=[path for path in packages if path not in for_worker],
        worker=for_worker,
        impossible=[path for path in for_worker if packages[path] & (orchestrator - worker)],
    )


def mypy(python: Path, name: str, files: list[Path]) -> tuple[int, str]:
    """Check the files against the packages of one environment and return mypy's exit code and what it says.

    Errors in the files that these import are not shown: they belong to the other run, or to their own turn in this one.
    """
    if not files:
        return 0, ""
    options = ["--follow-imports=silent", f"--python-executable={python}", f"--cache-dir=.mypy_cache/{name}"]
    paths = [str(path.relative_to(REPO)) for path in files]
    done = subprocess.run([ORCHESTRATOR, "-m", "mypy", *options, *paths], cwd=REPO, text=True, stdout=subprocess.PIPE)
    return done.returncode, f"{len(files)} modules with the packages of the {name}'s environment:\n{done.stdout}"


def main(paths: list[str]) -> int:
    """Check the modules and return the exit code: 0 if mypy finds no error in either environment."""
    packages = {path: imported_packages(path) for path in modules(paths)}
    names = set().union(*packages.values())
    orchestrator, worker = available(ORCHESTRATOR, names), available(WORKER, names)
    assignment = assign(packages, orchestrator, worker)
    for path in assignment.impossible:
        apart = ", ".join(sorted(packages[path] & (orchestrator ^ worker)))
        print(f"{path.relative_to(REPO)}: error: no environment has all of these packages: {apart}. Split the module.")
    pythons, environments = (ORCHESTRATOR, WORKER), ("orchestrator", "worker")
    with ThreadPoolExecutor(2) as pool:  # each waits for a process of its own
        ends = list(pool.map(mypy, pythons, environments, (assignment.orchestrator, assignment.worker)))
    for _, said in ends:
        print(said, end="", flush=True)
    return max(*(code for code, _ in ends), int(bool(assignment.impossible)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
