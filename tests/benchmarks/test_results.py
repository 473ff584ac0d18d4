"""The benchmarks of scoring, SQL and the page run as their docstrings say; how fast, a busy machine does not tell."""

import json
import subprocess
import sys

import pytest

from t2s_pipeline.core.settings import REPO

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator


def run(name: str, *options: str) -> dict:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *options]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_scoring_agrees_with_pixels_and_reports_its_figures():
    told = run("scoring", "--predictions", "60", "--side", "64", "--pixels", "60", "--samples", "200")
    assert told["predictions"] == 60
    assert min(told[key] for key in ("seconds", "per_second", "ratio", "peak_mb", "bootstrap_seconds")) > 0


def test_the_leaderboard_agrees_with_the_score_rows_and_reports_its_figures():
    told = run("sql", "--rows", "4000", "--samples", "500")
    assert (told["rows"], told["files"]) == (4000, 8)
    assert told["leaderboard_seconds"] > 0


@pytest.mark.slow
def test_the_page_of_a_split_is_built_and_opened_and_needs_little_more_memory_than_that_of_fewer_samples():
    result = run("report", "--samples", "1200")
    assert result["samples"] == 1200 and result["seconds"] > 0
    assert 0.1 < result["megabytes"] < 5
    assert result["open_seconds"] is None or result["open_seconds"] > 0
    # The 1,200 images have 50 MB. Reading all of them took several times as much.
    assert result["peak_mb"] < result["fewer"]["peak_mb"] + 60
