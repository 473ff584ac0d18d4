"""When a file counts as whole."""

import os
import time

import pytest

from t2s_pipeline.core.arrival import QUIET_SECONDS, may_be_arriving


def changed(seconds: float) -> os.stat_result:
    """The state of a file whose change time is this many seconds from now."""
    fields = [0] * 10
    fields[9] = int(time.time() + seconds)
    return os.stat_result(fields)


@pytest.mark.parametrize(
    ("seconds", "arriving"), [(0, True), (-QUIET_SECONDS - 2, False), (-3600, False), (3600, False), (10**8, False)]
)
def test_a_change_a_moment_ago_may_go_on_and_one_in_the_future_is_of_another_clock(seconds, arriving):
    assert may_be_arriving([changed(-3600), changed(seconds)]) is arriving


def test_no_file_does_not_arrive():
    assert may_be_arriving([]) is False
