"""Starting the worker from the orchestrator: one subprocess in a process group of its own.

This is the plain form, for the command line. Dagster's form (Pipes) is a resource beside the assets; both are
a ``Launch``. No torch, no dagster.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from t2s_pipeline.errors import T2SError
from t2s_pipeline.settings import REPO, Settings

Launch = Callable[[Sequence[str]], None]
"""Runs ``python -m t2s_pipeline.worker <arguments>`` to its end; raises a T2SError if it fails."""

GRACE_SECONDS = 20.0
"""How long a worker may take to stop after SIGTERM before it is killed."""

KEPT_LINES = 30

ERROR_PREFIX = "error: "
"""How the worker marks the one sentence that a user can act on: its last line on stderr."""


class WorkerError(T2SError):
    """The worker ended with a failure; the message holds what it said last."""


def worker_command(settings: Settings, arguments: Sequence[str]) -> list[str]:
    """The command line of the worker. Unbuffered, so that its progress is seen while it happens."""
    return [str(settings.require_worker()), "-u", "-m", "t2s_pipeline.worker", *arguments]


def worker_environment(settings: Settings) -> dict[str, str]:
    """What the worker's environment holds beyond ours: where the package and T2S_HOME are."""
    paths = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"T2S_HOME": str(settings.home), "PYTHONPATH": os.pathsep.join(paths)}


def plain_launch(
    settings: Settings, grace: float = GRACE_SECONDS, environment: Mapping[str, str] | None = None
) -> Launch:
    """A ``Launch`` that streams the worker's stderr to ours and takes its whole group down with us.

    ``environment`` is added to ours for the worker (where Dagster Pipes tells it whom to report to).
    """

    def launch(arguments: Sequence[str]) -> None:
        process = subprocess.Popen(
            worker_command(settings, arguments),
            env={**os.environ, **worker_environment(settings), **(environment or {})},
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
            stop_group(process.pid, process, grace)
        if code != 0:
            raise failure(arguments, code, [line for line in last if line])

    return launch


def failure(arguments: Sequence[str], code: int, last_lines: Sequence[str]) -> WorkerError:
    """What to tell the user: the worker's own sentence where it gave one, its last lines where it crashed."""
    if last_lines and last_lines[-1].startswith(ERROR_PREFIX):
        return WorkerError(last_lines[-1].removeprefix(ERROR_PREFIX))
    said = "\n".join(last_lines)
    return WorkerError(f"The worker `{' '.join(arguments)}` {_ended(code)}. It said last:\n{said}")


def stop_group(group: int, leader: subprocess.Popen, grace: float = GRACE_SECONDS) -> None:
    """End every process of the group: SIGTERM, then SIGKILL for what is left after ``grace`` seconds.

    Harmless when the group is gone already.
    """
    if not _signal_group(group, signal.SIGTERM):
        return
    try:
        leader.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        pass  # killed below, with whatever else is left of the group
    # The leader may be gone while a child of it is not.
    _signal_group(group, signal.SIGKILL)
    leader.wait()


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
