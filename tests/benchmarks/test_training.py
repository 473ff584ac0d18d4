"""The benchmark of training runs, tiny, and its last line is what its docstring says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = [pytest.mark.worker, pytest.mark.slow]


def test_a_tiny_run_measures_both_ways():
    command = [sys.executable, "-m", "tests.benchmarks.training", "--model", "tiny", "--steps", "3", "--tokens", "8"]
    done = subprocess.run(
        [*command, "--plain-steps", "1"], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ratio"] > 0 and told["per_second"] > 0 and told["peak_mb"] > 100
    for way in ("ours", "plain"):
        phases = told[way]
        parts = phases["generate_seconds"] + phases["reward_seconds"] + phases["update_seconds"]
        assert 0 < parts <= phases["seconds"] + 0.002, "each is rounded to a thousandth"
    assert 0 < told["outside_share"] < 1
    assert told["estimated_mb"] is None
