"""The benchmark of starting commands, small; and what `t2s sql` imports decides how fast it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator


def test_a_query_starts_nearly_as_fast_as_the_libraries_that_it_needs() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.start", "--tries", "3"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    # 0.3 before the query's process was a copy of the command's, and read and printed with few libraries.
    assert result["ratio"] > 0.7
    assert result["help_ratio"] > 0.3


def test_a_query_starts_no_second_interpreter_and_imports_what_it_needs_once(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "t2s_pipeline.cli", "sql", "FROM range(2)"]
    environment = {**os.environ, "T2S_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "range\n    0\n    1\n2 rows\n"
    modules = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert [modules.count(name) for name in ("site", "duckdb", "pyarrow")] == [1, 1, 1]
    roots = {module.partition(".")[0] for module in modules}
    assert not roots & {"numpy", "rich", "dagster", "pandas", "pydantic", "typer"}
    assert "t2s_pipeline.commands.ui" not in modules
