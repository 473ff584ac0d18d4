"""Whether the process that executes a Dagster run is still running: tags that a later process can check."""

import os
import socket
from pathlib import Path

PROCESS, HOST = "t2s/process", "t2s/host"


def tags_of_this_process() -> dict[str, str]:
    """The tags of a run that this process executes."""
    return {PROCESS: process_id(os.getpid()) or "", HOST: socket.gethostname()}


def is_gone(process: str) -> bool:
    """Whether the process of that tag, on this host, has ended."""
    return process_id(int(process.partition("@")[0])) != process


def process_id(pid: int) -> str | None:
    """``<pid>@<start time>``; None if there is no such process.

    The start time is included because the system uses process numbers again, in a container soon.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # It belongs to another user, so it exists.
    try:
        # The name in parentheses may contain anything. The first field after it is the state, and the 20th is the
        # start time (proc(5)). A zombie has ended.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{pid}@"
    return None if fields[0] == "Z" else f"{pid}@{fields[19]}"
