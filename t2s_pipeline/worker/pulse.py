"""When the worker's heartbeats stop: whether a process of it was stopped, or waits for something that never comes."""

import time
from dataclasses import dataclass, field

import psutil

from t2s_pipeline.core.environment import positive_number
from t2s_pipeline.worker.channel import Heartbeat, Message, Unwatched

SILENCE = "T2S_WORKER_SILENCE"
"""The environment variable with the seconds without a heartbeat after which a worker is ended."""

SILENCE_SECONDS = 300.0
"""The default of T2S_WORKER_SILENCE. Importing large libraries from a slow disk can delay heartbeats for minutes."""

IDLE_FACTOR = 24
"""A process may wait without using the processor this many times as long: two hours, as long as ranks wait for each
other (training/ranks.py)."""

_LEAST_SECONDS = 0.5
"""Processor time that counts as work. The heartbeats themselves need less between two deadlines."""


def silence_limit() -> float:
    """The seconds without a heartbeat after which a worker is ended.

    Raises:
        InputError: if T2S_WORKER_SILENCE is not a number above 0.
    """
    return positive_number(SILENCE, SILENCE_SECONDS)


@dataclass
class _Process:
    """What is known of one process of the worker."""

    heard: float
    """When the last heartbeat came."""
    worked: float
    """When the last heartbeat came that showed work."""
    seconds: float
    """Processor time at that heartbeat."""


@dataclass
class Pulse:
    """The heartbeats of all processes of a worker.

    Attributes:
        limit: seconds of silence after which a process counts as stopped.
    """

    limit: float = field(default_factory=silence_limit)
    _processes: dict[int, _Process] = field(default_factory=dict)

    def hear(self, message: Message) -> None:
        """Take a message of the worker into account."""
        now = time.monotonic()
        if isinstance(message, Unwatched):
            self._processes.pop(message.process, None)
        elif isinstance(message, Heartbeat):
            known = self._processes.setdefault(message.process, _Process(now, now, message.seconds))
            known.heard = now
            if message.seconds - known.seconds > _LEAST_SECONDS:
                known.worked, known.seconds = now, message.seconds

    def begin(self, leader: int) -> None:
        """Begin again with a new command: silence before this moment does not count."""
        now = time.monotonic()
        self._processes = {leader: _Process(now, now, 0.0)}

    def fault(self) -> str | None:
        """A sentence if a process is silent for too long; None otherwise."""
        now = time.monotonic()
        for process, known in list(self._processes.items()):
            if now - known.heard > self.limit:
                if psutil.pid_exists(process):
                    return f"Its process {process} has not answered for {now - known.heard:.0f} seconds"
                del self._processes[process]
            elif now - known.worked > IDLE_FACTOR * self.limit:
                return f"Its process {process} has done nothing for {now - known.worked:.0f} seconds"
        return None
