"""The web UI's services are stopped by the process that the user sees, and end with it.

A script stands for `dagster dev`. The real services are stopped in tests/jobs.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO
from tests.processes import Doorbell, has_ended

pytestmark = pytest.mark.orchestrator

# Rings when it can be interrupted; prints what an interrupted program prints.
SERVICE = """
import os, signal, sys
sys.stderr.write("service starts\\n")
with open(sys.argv[1], "w") as bell:
    bell.write(f"{os.getpid()}\\n")
try:
    signal.pause()
except KeyboardInterrupt:
    sys.stderr.write("Traceback (most recent call last)\\n")
    sys.exit(130)
"""
SERVE = """
import os, sys
from pathlib import Path
from t2s_pipeline.commands.ui import Services
service, bell, log, home = sys.argv[1:]
services = Services([sys.executable, "-c", service, bell], {**os.environ, "DAGSTER_HOME": home}, Path(log))
sys.exit(0 if services.serve() else 3)
"""


class Served:
    """The process that the user sees, with the output that it shows, and the service behind it."""

    def __init__(self, folder: Path, service: str = SERVICE, prepare: Callable[[], object] | None = None) -> None:
        bell = Doorbell(folder / "bell")
        self.log = folder / "logs" / "ui.log"
        arguments = [service, str(bell.path), str(self.log), str(folder)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )
        self.service = int(bell.rung(self.process))
        # It is copied by then, and signals are handled. Output that comes after a request to stop goes to the log.
        assert self.process.stdout.readline() == "service starts\n"

    def end(self) -> str:
        """The rest of the output, when the process has ended."""
        output, _ = self.process.communicate(timeout=60)
        return output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path, number: signal.Signals):
    served = Served(tmp_path)
    # As a terminal does: the signal goes to the group of the process that the user sees.
    os.killpg(served.process.pid, number)
    output = served.end()
    assert served.process.returncode == 0
    assert "Stopping the web UI" in output and "Traceback" not in output
    assert "Traceback" in served.log.read_text()
    assert has_ended(served.service)


def test_a_background_job_of_a_script_ends_with_kill(tmp_path: Path):
    # A shell without job control starts background jobs in this way.
    served = Served(tmp_path, prepare=partial(signal.signal, signal.SIGINT, signal.SIG_IGN))
    served.process.terminate()
    assert "Stopping the web UI" in served.end() and served.process.returncode == 0
    assert has_ended(served.service)


def test_a_second_ctrl_c_ends_a_service_that_does_not_stop(tmp_path: Path):
    deaf = SERVICE.replace("try:", "signal.signal(signal.SIGINT, signal.SIG_IGN)\ntry:")
    deaf = deaf.replace("with open", "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwith open")
    served = Served(tmp_path, deaf)
    os.killpg(served.process.pid, signal.SIGINT)
    assert select.select([served.process.stdout], [], [], 60)[0]
    while "Stopping" not in served.process.stdout.readline():
        pass
    os.killpg(served.process.pid, signal.SIGINT)
    served.end()
    assert has_ended(served.service)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_services_end_with_a_parent_that_is_killed(tmp_path: Path):
    served = Served(tmp_path)
    served.process.kill()
    assert has_ended(served.service)
    served.end()


def test_services_that_end_by_themselves_are_a_failure(tmp_path: Path):
    served = Served(tmp_path, SERVICE.replace("signal.pause()", "pass"))
    served.end()
    assert served.process.returncode == 3
