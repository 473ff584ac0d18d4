"""The error that a failed worker becomes: its own sentence, or what its last lines say."""

import re
import signal
from collections.abc import Sequence

from t2s_pipeline.core.errors import T2SError

ERROR_PREFIX = "error: "
"""Stands before the one sentence on stderr that a user can act on."""

_MISSING = re.compile(r"(?:ModuleNotFoundError|ImportError): (.*)")


class WorkerError(T2SError):
    """The worker failed. The message contains its last lines."""


def failure(arguments: Sequence[str], code: int, last_lines: Sequence[str]) -> WorkerError:
    """The error for the user: the worker's own sentence if it printed one, else its last lines.

    Args:
        arguments: of the command that failed.
        code: the exit code; negative for the number of a signal.
        last_lines: what it wrote last.
    """
    for line in reversed(last_lines):
        if line.startswith(ERROR_PREFIX):
            return WorkerError(line.removeprefix(ERROR_PREFIX))
    if last_lines and (missing := _MISSING.fullmatch(last_lines[-1])):
        return WorkerError(
            f"The worker's environment lacks a package or has a damaged one ({missing[1]}): run `make setup`. If "
            "T2S_WORKER_PYTHON names another environment, install the extra `worker` there."
        )
    output = "\n".join(last_lines)
    return WorkerError(f"The worker `{' '.join(arguments)}` {_ended(code)}. Its last lines were:\n{output}")


def silent(arguments: Sequence[str], fault: str) -> WorkerError:
    """The error for a worker that was ended because its heartbeats stopped."""
    return WorkerError(
        f"The worker `{' '.join(arguments[:1])}` was ended. {fault}: it was stopped (SIGSTOP) or hangs. "
        "Finished work is kept: run the same command again to continue. "
        "T2S_WORKER_SILENCE sets how long a worker may be silent."
    )


def _ended(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = ": the machine may be out of memory" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"ended with exit code {code}"
