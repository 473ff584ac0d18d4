"""The benchmark of reading runs, small, and its last line is what its docstring says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator


def test_a_small_run_measures_both_ways(tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks.ingest", "--samples", "40", "--fewer", "10", "--side", "64"]
    done = subprocess.run(
        [*command, "--folder", tmp_path], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["samples"] == 40
    assert told.keys() >= {"per_second", "plain_per_second", "ratio", "peak_mb", "peak_mb_fewer", "cpus"}
    assert told["ratio"] > 0 and told["peak_mb"] > 10
    assert not list(tmp_path.iterdir())
