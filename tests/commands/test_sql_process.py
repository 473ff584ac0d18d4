"""A query runs in a process of its own, which does not outlive the command."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from t2s_pipeline.core.settings import REPO
from tests.processes import has_ended

pytestmark = pytest.mark.orchestrator

# It prints for as long as it runs, so the first line tells that it has begun.
ENDLESS = "SELECT range FROM range(100000000000)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_a_query_ends_with_the_command_that_is_killed(tmp_path: Path):
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", ENDLESS, "--csv", "--seconds", "600"]
    environment = {**os.environ, "T2S_HOME": str(tmp_path)}
    with subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"range\n"
        [query] = psutil.Process(process.pid).children()
        process.kill()
        # Nobody reads its rows, so without the signal it would wait for ever.
        assert has_ended(query.pid)
