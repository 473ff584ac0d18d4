"""Runs of `t2s demo` whose process died without a word (killed, power lost): shown as failed, slots given back.

Dagster's own run monitoring looks after the runs that its daemon launched; these were not.
"""

import os
import socket
from pathlib import Path

import dagster as dg

PROCESS, HOST = "t2s/process", "t2s/host"


def mine() -> dict[str, str]:
    """The tags by which a later process can tell whether this one still runs."""
    return {PROCESS: _process(os.getpid()) or "", HOST: socket.gethostname()}


def close_abandoned(instance: dg.DagsterInstance) -> int:
    """Fail every unfinished run that names a process of this host that is gone; returns how many."""
    unfinished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING],
        tags={HOST: socket.gethostname()},
    )
    closed = 0
    for run in instance.get_runs(filters=unfinished):
        process = run.tags[PROCESS]
        if _process(int(process.partition("@")[0])) != process:
            instance.report_run_failed(run, "The process that ran this is gone; what it finished is kept.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed += 1
    return closed


def _process(pid: int) -> str | None:
    """``<pid>@<start>``, since numbers are used again (soon, in a container); None if there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # somebody else's: it runs
    try:
        # The name in parentheses may hold anything; the start is the 20th field after it (proc(5)).
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = ""
    return f"{pid}@{started}"
