"""The terms of shared work: what is done, who does it, and what workers report.

A workload consists of numbered tasks that do not depend on each other. A worker is a process that holds its own models.
A crew is a fixed number of workers; it starts them, gives them tasks and reports what happens. There are two: processes
on this machine (``processes.py``) and actors of a Ray cluster (``ray_crew.py``). ``sharing.py`` hands out the tasks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Asked = TypeVar("Asked", contravariant=True)
Given = TypeVar("Given", covariant=True)


class Workload(Protocol[Asked, Given]):
    """What every worker can do. It travels to the workers, so it is small and can be pickled."""

    def open(self, device: str) -> Callable[[Asked], Given]:
        """Load the models on a torch device and return the function that does one task."""
        ...


@dataclass(frozen=True)
class WorkerReady:
    """A worker has loaded its models."""

    worker: int


@dataclass(frozen=True)
class TaskDone:
    """A worker has finished its oldest task."""

    worker: int
    result: Any


@dataclass(frozen=True)
class TaskFailed:
    """Loading or a task raised an error, as it would in a single process. Another worker would fail in the same way."""

    worker: int
    message: str
    can_be_corrected: bool
    """True for a fault that the user can correct. False: ``message`` is a traceback."""


@dataclass(frozen=True)
class WorkerEnded:
    """A worker has ended without having finished its tasks: it was killed, or its machine is gone."""

    worker: int
    reason: str


Event = WorkerReady | TaskDone | TaskFailed | WorkerEnded


class Crew(Protocol):
    """A number of workers. Worker ``w`` does its tasks in the order in which they are given."""

    size: int

    def start(self, worker: int) -> None:
        """Start the worker with this number, again if it has ended."""
        ...

    def give(self, worker: int, task: Any) -> None:
        """Give a task to a worker that is ready."""
        ...

    def events(self) -> Sequence[Event]:
        """What has happened since the last call. Waits about a second if nothing has."""
        ...


class Team(Protocol):
    """Does the tasks of some work, in this process or by a crew."""

    def do(
        self, work: Workload[Task, Result], tasks: Iterable[tuple[int, Task]], take: Callable[[int, Result], None]
    ) -> None:
        """Do all tasks and give each result with the number of its task to ``take``, in any order, in this thread.

        Raises:
            T2SError: if a task fails, or ends its worker again and again.
        """
        ...


@dataclass(frozen=True)
class ThisProcess:
    """A ``Team`` of one: the tasks are done here, one after the other.

    Attributes:
        device: a torch device.
    """

    device: str = "cpu"

    def do(
        self, work: Workload[Task, Result], tasks: Iterable[tuple[int, Task]], take: Callable[[int, Result], None]
    ) -> None:
        """Do all tasks in their order."""
        do = work.open(self.device)
        for number, task in tasks:
            take(number, do(task))


ON_CPU = ThisProcess()
"""This process, without a GPU."""
