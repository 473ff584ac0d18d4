"""A copy of this process that runs one function, with the interface of ``subprocess.Popen``.

It starts in a millisecond, because it has imported what this process has. A new Python process takes a tenth of a
second.
Copying a process is safe only while it has one thread. Libraries such as pyarrow and DuckDB start threads.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

WITH_THREADS = ("numpy", "pyarrow", "duckdb", "torch", "dagster")
"""Packages whose import starts threads, or may do so."""


def can_fork() -> bool:
    """Whether this process can be copied: it has one thread, and no package that may have threads of its own."""
    return threading.active_count() == 1 and not any(name in sys.modules for name in WITH_THREADS)


class ForkedProcess:
    """A copy of this process that runs ``main`` and ends. It reads nothing, and its standard error is read here.

    Attributes:
        returncode: the exit code, or minus the number of the signal that ended it; None while it runs.
    """

    def __init__(self, main: Callable[[], None]) -> None:
        self.returncode: int | None = None
        self._words: list[bytes] = []
        sys.stdout.flush()
        sys.stderr.flush()
        self._errors, errors = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _run(main, errors)
        os.close(errors)

    def communicate(self, timeout: float | None = None) -> bytes:
        """Wait for the end of the process; return what it wrote on standard error.

        Raises:
            subprocess.TimeoutExpired: if it has not ended after so many seconds. The next call returns everything.
        """
        ending = None if timeout is None else time.monotonic() + timeout
        while True:
            rest = None if ending is None else max(0.0, ending - time.monotonic())
            if not select.select([self._errors], [], [], rest)[0]:
                raise subprocess.TimeoutExpired(sys.argv, timeout or 0.0)
            self._words.append(os.read(self._errors, 1 << 16))
            if not self._words[-1]:
                self.wait()
                return b"".join(self._words)

    def kill(self) -> None:
        """Kill the process."""
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end of the process; return ``returncode``."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            os.close(self._errors)
        return self.returncode


def _run(main: Callable[[], None], errors: int) -> NoReturn:
    """Run ``main`` in the copy, and end the process without what its original would do at its end."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(errors, 2)
        # The original's may write each line at once, for a person. Here many rows may follow each other.
        sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # as at the end of a process
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
