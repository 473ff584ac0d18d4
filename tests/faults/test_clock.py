"""The clock is set back or forward by years between steps: the same rows, and nothing is done twice or left behind.

libfaketime gives a process another clock. Without it the test says so and skips itself.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.random_kills import differences, run_stage, undisturbed

pytestmark = [pytest.mark.orchestrator, pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime")]

STEPS = ("scenes", "tables", "label")
LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")


def clock(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off. Waiting is measured by another clock, which stays right."""
    library = next(path for path in LIBRARIES if Path(path).is_dir())
    return {"LD_PRELOAD": f"{library}/libfaketimeMT.so.1", "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def times(home: Path) -> dict[Path, int]:
    """When each file of the lake was written, but for the record of what steps took."""
    files = (path for path in (home / "lake").rglob("*.parquet") if "step_times" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


def test_steps_under_other_clocks_give_the_same_rows_and_stand_when_the_clock_is_right_again(tmp_path):
    plans = undisturbed(tmp_path / "undisturbed", STEPS)
    home = tmp_path / "home"
    home.mkdir()
    for step, offset in zip(STEPS, ("+20y", "-20y", "+3d"), strict=True):
        run_stage(step, home, clock(offset))
    assert differences(plans["label"].after, home) == []
    before = times(home)
    for step, offset in zip(STEPS, ("-5y", "+5y", ""), strict=True):
        run_stage(step, home, clock(offset) if offset else {})
    assert times(home) == before
    assert os.listdir(home / "lake" / "_staging") == os.listdir(plans["label"].after / "lake" / "_staging")
