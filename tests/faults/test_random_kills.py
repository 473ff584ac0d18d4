"""A few kills at random moments, in the steps that need no model; `make faults` tries all steps, 200 times."""

import pytest

from tests.faults.random_kills import random_kills

pytestmark = [pytest.mark.orchestrator, pytest.mark.slow]


def test_any_process_of_a_step_is_killed_and_a_rerun_does_the_rest(tmp_path):
    killings = random_kills(tmp_path, 6, ("scenes", "tables", "label"), seed=1)
    assert [killing for killing in killings if killing.faults] == []
    assert {killing.step for killing in killings} == {"scenes", "tables", "label"}
