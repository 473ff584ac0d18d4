"""Hands out tasks to a crew as its workers become free, and repeats those whose worker has ended."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Generic

from t2s_pipeline.core.distribution.crew import (
    Crew,
    Event,
    Result,
    Task,
    TaskDone,
    TaskFailed,
    WorkerEnded,
    WorkerReady,
)
from t2s_pipeline.core.errors import T2SError

AHEAD = 2
"""Tasks that a worker has at a time: one that it does, and one that waits. So it needs not wait for this process."""

MOST_ENDS = 3
"""After so many ends of workers during the same task, or of one worker while it starts, the work is given up."""


class SharedWork(Generic[Task, Result]):
    """Tasks that are handed out to a crew.

    Args:
        crew: who does them.
        tasks: each with its number.
        take: gets each result with the number of its task.
        patience: the seconds that no worker may be ready before the work is given up.
    """

    def __init__(
        self,
        crew: Crew,
        tasks: Iterable[tuple[int, Task]],
        take: Callable[[int, Result], None],
        patience: float,
    ) -> None:
        self._crew, self._take, self._patience = crew, take, patience
        self._waiting = deque(tasks)
        self._given: dict[int, deque[tuple[int, Task]]] = {}
        """The tasks of each worker that is ready, oldest first."""
        self._ends: Counter[int] = Counter()
        """Task → workers that ended during it."""
        self._failed_starts: Counter[int] = Counter()
        """Worker → its ends while it started, since it was last ready."""
        self._ready_at = time.monotonic()

    def finish(self) -> None:
        """Do all tasks.

        Raises:
            T2SError: if a task fails, or workers end again and again.
        """
        for worker in range(min(self._crew.size, len(self._waiting))):
            self._crew.start(worker)
        while self._waiting or any(self._given.values()):
            for event in self._crew.events():
                self._hear(event)
            if self._given:
                self._ready_at = time.monotonic()
            elif time.monotonic() - self._ready_at > self._patience:
                raise T2SError(
                    f"No worker has started for {self._patience:.0f} seconds: are there as many free devices as the "
                    "work needs? Finished work is kept: run the same command again to continue."
                )
            self._hand_out()

    def _hear(self, event: Event) -> None:
        match event:
            case WorkerReady(worker):
                self._given[worker] = deque()
                del self._failed_starts[worker]
            case TaskDone(worker, result):
                number, _ = self._given[worker].popleft()
                self._take(number, result)
            case TaskFailed(_, message, can_be_corrected):
                if can_be_corrected:
                    raise T2SError(message)
                raise RuntimeError(f"A worker failed:\n{message}")
            case WorkerEnded(worker, reason):
                self._replace(worker, reason)

    def _replace(self, worker: int, reason: str) -> None:
        """Put the tasks of a worker that has ended back to the front, and start it again.

        Raises:
            T2SError: if that has happened too often.
        """
        tasks = self._given.pop(worker, None)
        advice = "Finished work is kept: run the same command again to continue."
        if tasks is None:
            self._failed_starts[worker] += 1
            if self._failed_starts[worker] >= MOST_ENDS:
                raise T2SError(f"A worker ended {MOST_ENDS} times while it started ({reason}). {advice}")
        elif tasks:
            number, _ = tasks[0]
            self._ends[number] += 1
            if self._ends[number] >= MOST_ENDS:
                raise T2SError(f"Window {number} ended its worker {MOST_ENDS} times (last: {reason}). {advice}")
            self._waiting.extendleft(reversed(tasks))
        self._crew.start(worker)

    def _hand_out(self) -> None:
        """Give tasks to workers that have none. A second one only while there is one for everybody."""
        for depth in range(AHEAD):
            for worker, tasks in self._given.items():
                if len(tasks) == depth and len(self._waiting) > depth * len(self._given):
                    task = self._waiting.popleft()
                    tasks.append(task)
                    self._crew.give(worker, task[1])
