"""Whether the process that runs a Dagster run still lives: tags that a later process can check. No dagster."""

import os
import socket
from pathlib import Path

PROCESS, HOST = "t2s/process", "t2s/host"


def mine() -> dict[str, str]:
    """The tags of a run that this process runs."""
    return {PROCESS: mark(os.getpid()) or "", HOST: socket.gethostname()}


def is_gone(process: str) -> bool:
    """Whether the process of that tag, on this host, has ended."""
    return mark(int(process.partition("@")[0])) != process


def mark(pid: int) -> str | None:
    """``<pid>@<start>``, since numbers are used again (soon, in a container); None if there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # somebody else's: it runs
    try:
        # The name in parentheses may hold anything; the state is the first field after it, the start the 20th
        # (proc(5)). A zombie runs no more.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{pid}@"
    return None if fields[0] == "Z" else f"{pid}@{fields[19]}"
