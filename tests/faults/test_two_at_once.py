"""Two processes do the same step at the same moment: both succeed, and the result is that of one."""

import shutil
from pathlib import Path

import pytest

from tests.faults.random_kills import differences, start_stage, undisturbed
from tests.processes import PATIENCE

pytestmark = pytest.mark.orchestrator

STEPS = ("scenes", "tables", "label")


def test_two_of_every_step_give_the_result_of_one(tmp_path: Path):
    for name, plan in undisturbed(tmp_path / "undisturbed", STEPS).items():
        home = tmp_path / name
        shutil.copytree(plan.before, home)
        both = [start_stage(name, home) for _ in range(2)]
        said = [process.communicate(timeout=PATIENCE)[0].decode() for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert differences(plan.after, home) == []
