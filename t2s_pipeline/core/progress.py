"""How a long step reports its progress: to Dagster's run page through Pipes, or to a person on stderr.

Library code takes a ``Progress`` and never asks which form it got.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from t2s_pipeline.core.environment import positive_number
from t2s_pipeline.core.visible import visible

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

Number = int | float | str
PIPES_VARIABLE = "DAGSTER_PIPES_CONTEXT"
"""Dagster sets this variable in the environment of a process that it launched through Pipes."""
SECONDS = "T2S_PROGRESS_SECONDS"
"""The environment variable with the seconds between two lines of progress that do not go to a terminal."""


class Progress(Protocol):
    """A step starts, advances, and ends with its numbers. ``say`` is for everything else."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Start to count.

        Args:
            what: the beginning of each line, e.g. ``labels for train:``.
            total: the number of units.
            done: how many of them an earlier run has finished.
        """

    def advance(self, done: int, note: str = "") -> None:
        """Report how far the step is. It is cheap: calls that come too soon after another are dropped.

        Args:
            done: the units that are finished in all.
            note: a remark for the end of the line.
        """

    def say(self, message: str, warning: bool = False) -> None:
        """Write one sentence to the log. It is never dropped."""

    def result(self, **metadata: Number) -> None:
        """Report the step's numbers, once, at its end."""


class _Throttled:
    """The count, and at most one line in ``every`` seconds."""

    every: float = 1.0

    def __init__(self) -> None:
        self._what, self._total, self._done_before = "", 0, 0
        self._began = self._last = 0.0

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Start to count."""
        self._what, self._total, self._done_before = what, total, done
        self._began, self._last = time.monotonic(), 0.0

    def advance(self, done: int, note: str = "") -> None:
        """Write a line if the last one is old enough, or the count is complete."""
        now = time.monotonic()
        if now - self._last >= self.every or done >= self._total:
            self._last = now
            self._show(done, f"{self._line(done, now)}{'  ' + note if note else ''}")

    def _line(self, done: int, now: float) -> str:
        spent, finished = now - self._began, done - self._done_before
        remaining = ""
        if finished and done < self._total:
            remaining = f", {_clock(spent / finished * (self._total - done))} left"
        return f"{self._what} {done}/{self._total} ({_clock(spent)}{remaining})"

    def _show(self, done: int, line: str) -> None:
        raise NotImplementedError


class StderrProgress(_Throttled):
    """For people: in a terminal one line that is rewritten, in a file or pipe plain lines, and fewer of them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self.every = 0.2 if self._terminal else positive_number(SECONDS, 10.0)

    def _show(self, done: int, line: str) -> None:
        end = "\n" if not self._terminal or done >= self._total else ""
        start = f"\r\x1b[2K{_bar(done, self._total)} " if self._terminal else ""
        print(f"{start}{visible(line)}", end=end, file=self._stream, flush=True)

    def say(self, message: str, warning: bool = False) -> None:
        """Write one sentence."""
        start = "\r\x1b[2K" if self._terminal else ""
        print(f"{start}{'warning: ' if warning else ''}{visible(message)}", file=self._stream, flush=True)

    def result(self, **metadata: Number) -> None:
        """Write the numbers as one sentence."""
        self.say(", ".join(f"{key} {_short(value)}" for key, value in metadata.items()))


class PipesProgress(_Throttled):
    """For Dagster: log lines in the run page, and the result as a custom message ``{"result": {…}}``.

    The asset that launched the worker turns the result into its own metadata. So one materialization is recorded, not
    two.
    """

    every = 2.0

    def __init__(self, context: "PipesContext") -> None:
        super().__init__()
        self._context = context

    def _show(self, done: int, line: str) -> None:
        self._context.log.info(line)

    def say(self, message: str, warning: bool = False) -> None:
        """Write one sentence to the run's log."""
        (self._context.log.warning if warning else self._context.log.info)(message)

    def result(self, **metadata: Number) -> None:
        """Send the numbers to the asset."""
        self._context.report_custom_message({"result": metadata})


class SentenceProgress(_Throttled):
    """For work in the orchestrator's own process: a sentence every ten seconds, to a function that takes sentences."""

    every = 10.0

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Start to count."""
        super().start(what, total, done)
        self._last = self._began  # work of less than ten seconds is not reported

    def advance(self, done: int, note: str = "") -> None:
        """Write a sentence if the last one is old enough and the count is not complete."""
        if done < self._total:
            super().advance(done, note)

    def _show(self, done: int, line: str) -> None:
        self._say(line)

    def say(self, message: str, warning: bool = False) -> None:
        """Pass one sentence on."""
        self._say(f"{'warning: ' if warning else ''}{message}")

    def result(self, **metadata: Number) -> None:
        """Write the numbers as one sentence."""
        self.say(", ".join(f"{key} {_short(value)}" for key, value in metadata.items()))


class NoProgress:
    """Writes nothing: for ranks other than the first, and for callers that need no report."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Do nothing."""

    def advance(self, done: int, note: str = "") -> None:
        """Do nothing."""

    def say(self, message: str, warning: bool = False) -> None:
        """Do nothing."""

    def result(self, **metadata: Number) -> None:
        """Do nothing."""


def is_first_rank() -> bool:
    """Whether this process reports for its group. torchrun numbers the processes in the variable RANK."""
    return os.environ.get("RANK", "0") == "0"


def launched_by_dagster() -> bool:
    """Whether Dagster launched this process through Pipes."""
    return PIPES_VARIABLE in os.environ


def _bar(done: int, total: int, width: int = 20) -> str:
    """A bar like █████░░░░░ for the finished share."""
    full = width if done >= total else width * done // total
    return "█" * full + "░" * (width - full)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _short(value: Number) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
