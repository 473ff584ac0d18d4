"""Starting the worker from the orchestrator, and ending every process of it.

This is the plain form, for the command line. Dagster's form (Pipes) is a resource beside the assets; both are
a ``Launch``. No torch, no dagster.
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
"""Runs ``python -m t2s_pipeline.worker <arguments>`` to its end; raises a T2SError if it fails."""

GRACE_SECONDS = 20.0
"""How long a worker may take to stop after SIGTERM before it is killed."""

KEPT_LINES = 60
"""torchrun ends with a table of its own after what a rank said."""

ERROR_PREFIX = "error: "
"""How the worker marks the one sentence that a user can act on, on stderr."""


class WorkerError(T2SError):
    """The worker ended with a failure; the message holds what it said last."""


def worker_command(settings: Settings, arguments: Sequence[str]) -> list[str]:
    """The command line of the worker. Unbuffered, so that its progress is seen while it happens."""
    return [str(settings.require_worker()), "-u", "-m", "t2s_pipeline.worker", *arguments]


def worker_environment(settings: Settings) -> dict[str, str]:
    """What the worker's environment holds beyond ours: where the package and T2S_HOME are."""
    paths = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"T2S_HOME": str(settings.home), "PYTHONPATH": os.pathsep.join(paths), TETHERED: "1"}


def plain_launch(
    settings: Settings,
    grace: float = GRACE_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Launch:
    """A ``Launch`` that streams the worker's stderr to ours and takes every process of it down with us.

    Also when this process is killed: the worker's standard input is a pipe whose end it watches (tether.py).

    Args:
        environment: added to ours for the worker (where Dagster Pipes tells it whom to report to).
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
        last: deque[str] = deque(maxlen=KEPT_LINES)
        try:
            assert process.stderr is not None
            for line in process.stderr:
                last.append(line.rstrip())
                print(line, end="", file=sys.stderr, flush=True)
            code = process.wait()
        finally:
            stop(process, grace)
        if code != 0:
            raise failure(arguments, code, [line for line in last if line])

    return launch


def failure(arguments: Sequence[str], code: int, last_lines: Sequence[str]) -> WorkerError:
    """What to tell the user: the worker's own sentence where it gave one, its last lines where it crashed."""
    for line in reversed(last_lines):
        if line.startswith(ERROR_PREFIX):
            return WorkerError(line.removeprefix(ERROR_PREFIX))
    said = "\n".join(last_lines)
    return WorkerError(f"The worker `{' '.join(arguments)}` {_ended(code)}. It said last:\n{said}")


def stop(leader: subprocess.Popen, grace: float = GRACE_SECONDS) -> None:
    """End the worker and all that comes of it: SIGTERM, then SIGKILL for what is left ``grace`` seconds later.

    ``leader`` leads a group of its own. Ranks that torchrun started are in other sessions and no longer its
    children once it is gone: those are found as descendants while it lives, and end by the tether when it does not.
    Harmless when everything is gone already.
    """
    members = _family(leader.pid)
    if leader.stdin is not None and not leader.stdin.closed:
        leader.stdin.close()
    if _signal_group(leader.pid, signal.SIGTERM) or members:
        _, left = psutil.wait_procs(members, timeout=grace)
        # What they started meanwhile goes with them. The leader may be gone while a child of it is not.
        for member in {process for one in left for process in (one, *_children(one))}:
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
