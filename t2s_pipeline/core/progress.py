"""How a long step says where it is: to Dagster's run page through Pipes, or to a person on stderr.

Library code takes a ``Progress`` and never asks which one it got. No torch, no dagster.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

Number = int | float | str
PIPES_VARIABLE = "DAGSTER_PIPES_CONTEXT"
"""Set by Dagster in the environment of a process that it launched through Pipes."""


class Progress(Protocol):
    """Three verbs: a step starts, advances, and ends with its numbers; ``say`` is for everything else."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Begin counting ``total`` units of ``what``; ``done`` of them were finished by an earlier try."""

    def advance(self, done: int, note: str = "") -> None:
        """``done`` units are finished in all. Cheap: calls that come too soon after another are dropped."""

    def say(self, message: str, warning: bool = False) -> None:
        """One sentence for the log, never dropped."""

    def result(self, **metadata: Number) -> None:
        """The step's numbers, once, at its end."""


class _Throttled:
    """What both forms share: the count, and not more than one line in ``every`` seconds."""

    every: float = 1.0

    def __init__(self) -> None:
        self._what, self._total, self._first = "", 0, 0
        self._began = self._last = 0.0

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._what, self._total, self._first = what, total, done
        self._began, self._last = time.monotonic(), 0.0

    def advance(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= self.every or done >= self._total:
            self._last = now
            self._show(done, f"{self._line(done, now)}{'  ' + note if note else ''}")

    def _line(self, done: int, now: float) -> str:
        spent, fresh = now - self._began, done - self._first
        left = f", {_clock(spent / fresh * (self._total - done))} left" if fresh and done < self._total else ""
        return f"{self._what} {done}/{self._total} ({_clock(spent)}{left})"

    def _show(self, done: int, line: str) -> None:
        raise NotImplementedError


class StderrProgress(_Throttled):
    """For people: one line that is rewritten in a terminal, plain lines (fewer of them) in a file or pipe."""

    def __init__(self, stream=None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self.every = 0.2 if self._terminal else 10.0

    def _show(self, done: int, line: str) -> None:
        end = "\n" if not self._terminal or done >= self._total else ""
        start = f"\r\x1b[2K{_bar(done, self._total)} " if self._terminal else ""
        print(f"{start}{line}", end=end, file=self._stream, flush=True)

    def say(self, message: str, warning: bool = False) -> None:
        start = "\r\x1b[2K" if self._terminal else ""
        print(f"{start}{'warning: ' if warning else ''}{message}", file=self._stream, flush=True)

    def result(self, **metadata: Number) -> None:
        self.say(", ".join(f"{key} {_short(value)}" for key, value in metadata.items()))


class PipesProgress(_Throttled):
    """For Dagster: log lines in the run page; the result travels as a custom message ``{"result": {…}}``.

    The asset that launched the worker turns the result into its own metadata, so that one materialization
    is recorded, not two.
    """

    every = 2.0

    def __init__(self, context: "PipesContext") -> None:
        super().__init__()
        self._context = context

    def _show(self, done: int, line: str) -> None:
        self._context.log.info(line)

    def say(self, message: str, warning: bool = False) -> None:
        (self._context.log.warning if warning else self._context.log.info)(message)

    def result(self, **metadata: Number) -> None:
        self._context.report_custom_message({"result": metadata})


class SaidProgress(_Throttled):
    """For work in the orchestrator's own process: a sentence now and then, to whatever takes sentences."""

    every = 10.0

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def start(self, what: str, total: int, done: int = 0) -> None:
        super().start(what, total, done)
        self._last = self._began  # what takes less than ten seconds need not be told

    def advance(self, done: int, note: str = "") -> None:
        if done < self._total:
            super().advance(done, note)

    def _show(self, done: int, line: str) -> None:
        self._say(line)

    def say(self, message: str, warning: bool = False) -> None:
        self._say(f"{'warning: ' if warning else ''}{message}")

    def result(self, **metadata: Number) -> None:
        self.say(", ".join(f"{key} {_short(value)}" for key, value in metadata.items()))


class NoProgress:
    """Says nothing: ranks other than the first, and callers that do not care."""

    def start(self, what: str, total: int, done: int = 0) -> None: ...

    def advance(self, done: int, note: str = "") -> None: ...

    def say(self, message: str, warning: bool = False) -> None: ...

    def result(self, **metadata: Number) -> None: ...


def is_first_rank() -> bool:
    """Whether this process speaks for its group (torchrun numbers them in RANK)."""
    return os.environ.get("RANK", "0") == "0"


def launched_by_dagster() -> bool:
    return PIPES_VARIABLE in os.environ


def _bar(done: int, total: int, width: int = 20) -> str:
    """█████░░░░░ for the share that is done."""
    full = width if done >= total else width * done // total
    return "█" * full + "░" * (width - full)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _short(value: Number) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
