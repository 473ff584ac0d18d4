"""Waiting for other processes without sleeping: the kernel says when something is written, or a process has ended."""

import os
import select
import subprocess
from pathlib import Path

PATIENCE = 300.0
"""Seconds after which a test fails rather than hangs; no claim about speed."""


class Doorbell:
    """A named pipe that a process of the test's own writes a line to when it has got somewhere."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def rung(self, process: subprocess.Popen) -> str:
        """The line, as soon as it is written; the end of ``process`` before that is a failure."""
        end = os.pidfd_open(process.pid)
        ready, _, _ = select.select([self._reader, end], [], [], PATIENCE)
        os.close(end)
        assert ready, "it took too long"
        assert self._reader in ready, "the process ended too early"
        # A line shorter than PIPE_BUF is written in one piece.
        return os.read(self._reader, select.PIPE_BUF).decode()

    def __del__(self) -> None:
        os.close(self._reader)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or goes before patience ends; it need not be a child."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([end], [], [], PATIENCE)
    os.close(end)
    return bool(ready)
