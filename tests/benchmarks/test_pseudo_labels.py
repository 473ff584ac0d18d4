"""The benchmark of labels runs, small, and its last line is what its docstring says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")


def test_a_small_run_measures_and_compares():
    command = [sys.executable, "-m", "tests.benchmarks.pseudo_labels", "--masks", "4", "--compared", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["masks"], told["compared"]) == (4, 2)
    assert told["ratio"] > 0 and told["per_second"] > 0 and told["peak_mb"] > 10
    assert "identical clusters" in done.stdout
