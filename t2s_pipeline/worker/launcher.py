"""Starting the worker from the orchestrator, and stopping the worker and its child processes.

This is the plain form, for the command line. Dagster's form (Pipes) is a resource (``assets/resources.py``). Both are
a ``Launch``.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import psutil

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.worker.tether import TETHERED

Launch = Callable[[Sequence[str]], None]
"""Runs ``python -m t2s_pipeline.worker <arguments>`` to its end. Raises a T2SError if it fails."""

GRACE_SECONDS = 20.0
"""Seconds that a worker may take to stop after SIGTERM before it is killed."""

LAST_LINES = 60
"""Lines of the worker's output that are kept for a message. torchrun prints its own table after a rank's last line."""

ERROR_PREFIX = "error: "
"""Stands before the one sentence on stderr that a user can act on."""


class WorkerError(T2SError):
    """The worker failed. The message contains its last lines."""


def worker_command(settings: Settings, arguments: Sequence[str]) -> list[str]:
    """The command line of the worker. Its output is not buffered, so that its progress is visible at once."""
    return [str(settings.require_worker()), "-u", "-m", "t2s_pipeline.worker", *arguments]


def worker_environment(settings: Settings) -> dict[str, str]:
    """The variables that the worker's environment has in addition to ours: where the package and T2S_HOME are."""
    paths = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"T2S_HOME": str(settings.home), "PYTHONPATH": os.pathsep.join(paths), TETHERED: "1"}


def plain_launch(
    settings: Settings,
    grace: float = GRACE_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Launch:
    """A ``Launch`` that stops all processes of the worker when this process stops.

    The worker's stderr is copied to ours, except its error sentence, which becomes the error's message.

    This also works when this process is killed: the worker's standard input is a pipe that it watches (tether.py).

    Args:
        settings: names the worker's interpreter and T2S_HOME.
        grace: seconds that the worker may take to stop after SIGTERM.
        environment: additional variables for the worker. Dagster Pipes passes the address of its messages this way.
    """

    def launch(arguments: Sequence[str]) -> None:
        process = subprocess.Popen(
            worker_command(settings, arguments),
            env={**os.environ, **worker_environment(settings), **(environment or {})},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        last: deque[str] = deque(maxlen=LAST_LINES)
        try:
            assert process.stderr is not None
            for line in process.stderr:
                last.append(line.rstrip())
                if not line.startswith(ERROR_PREFIX):
                    print(line, end="", file=sys.stderr, flush=True)
            code = process.wait()
        finally:
            stop(process, grace)
        if code != 0:
            raise failure(arguments, code, [line for line in last if line])

    return launch


def failure(arguments: Sequence[str], code: int, last_lines: Sequence[str]) -> WorkerError:
    """The error for the user: the worker's own sentence if it printed one, else its last lines."""
    for line in reversed(last_lines):
        if line.startswith(ERROR_PREFIX):
            return WorkerError(line.removeprefix(ERROR_PREFIX))
    output = "\n".join(last_lines)
    return WorkerError(f"The worker `{' '.join(arguments)}` {_ended(code)}. Its last lines were:\n{output}")


def stop(leader: subprocess.Popen[str], grace: float = GRACE_SECONDS) -> None:
    """Stop the worker and its child processes: SIGTERM, and SIGKILL ``grace`` seconds later for those that remain.

    ``leader`` leads a process group of its own. Ranks that torchrun starts are in other sessions. While the leader
    runs, they are its descendants and are stopped as such. After it has ended, they stop because of the tether.
    Calling this for a worker that has ended does nothing.
    """
    members = _family(leader.pid)
    if leader.stdin is not None and not leader.stdin.closed:
        leader.stdin.close()
    if _signal_group(leader.pid, signal.SIGTERM) or members:
        _, remaining = psutil.wait_procs(members, timeout=grace)
        # Include what they started in the meantime. The leader may have ended while a child of it has not.
        for member in {process for parent in remaining for process in (parent, *_children(parent))}:
            _kill(member)
        _signal_group(leader.pid, signal.SIGKILL)
    leader.wait()


def _family(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return []
    return [leader, *_children(leader)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _signal_group(group: int, number: signal.Signals) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _ended(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = ": the machine may be out of memory" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"ended with exit code {code}"
