"""Workers that are processes of this machine, each with a device of its own."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from t2s_pipeline.core.children import Child
from t2s_pipeline.core.distribution.crew import (
    Event,
    Result,
    Task,
    TaskDone,
    TaskFailed,
    WorkerEnded,
    WorkerReady,
    Workload,
)
from t2s_pipeline.core.distribution.sharing import SharedWork
from t2s_pipeline.core.errors import T2SError

LOOK_SECONDS = 1.0
GRACE_SECONDS = 5.0
"""Seconds between the end of a process's connection and its own."""

BEAT_SECONDS = 5.0
"""Seconds between two heartbeats of a worker."""


@dataclass(frozen=True)
class WorkerDevice:
    """A torch device for one process, and the environment variables that it needs for it."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Processes:
    """A ``Team`` of one process per device.

    Attributes:
        devices: of the processes.
        prepare: called in each process before anything else.
        silence: seconds without a heartbeat after which a process is replaced.
    """

    devices: tuple[WorkerDevice, ...]
    prepare: Callable[[], None]
    silence: float

    def do(
        self, work: Workload[Task, Result], tasks: Iterable[tuple[int, Task]], take: Callable[[int, Result], None]
    ) -> None:
        """Do all tasks. The processes end with this call."""
        crew = _ProcessCrew(self, work)
        try:
            # A worker may load its models for a long time; a process that has ended is noticed at once.
            SharedWork(crew, tasks, take, patience=float("inf")).finish()
        finally:
            crew.close()


class _ProcessCrew:
    def __init__(self, team: Processes, work: Workload[Any, Any]) -> None:
        self.size = len(team.devices)
        self._team, self._work = team, work
        self._children: dict[int, Child] = {}
        self._heard: dict[int, float] = {}

    def start(self, worker: int) -> None:
        """Start the process of a device."""
        device = self._team.devices[worker]
        with _environment(device.variables):
            self._children[worker] = Child(_serve, worker, self._work, device.name, self._team.prepare)
        self._heard[worker] = time.monotonic()

    def give(self, worker: int, task: Any) -> None:
        """Send a task. If the process has ended, the next events say so."""
        try:
            self._children[worker].connection.send(task)
        except OSError:
            return

    def events(self) -> Sequence[Event]:
        """What the processes have sent, and which have ended."""
        connections = {child.connection: worker for worker, child in self._children.items()}
        events = []
        for connection in wait(list(connections), LOOK_SECONDS):
            assert isinstance(connection, Connection)
            worker = connections[connection]
            self._heard[worker] = time.monotonic()
            try:
                message = connection.recv()
            except (EOFError, OSError):
                message = WorkerEnded(worker, self._children.pop(worker).end(GRACE_SECONDS))
            if message is not None:
                events.append(message)
        return [*events, *self._silent()]

    def close(self) -> None:
        """End all processes."""
        for child in self._children.values():
            child.end()
        self._children = {}

    def _silent(self) -> Iterator[WorkerEnded]:
        """End processes that send no heartbeats: they are stopped (SIGSTOP) or hang."""
        now = time.monotonic()
        for worker, child in list(self._children.items()):
            if now - self._heard[worker] > self._team.silence and not child.connection.poll():
                del self._children[worker]
                child.end()
                yield WorkerEnded(worker, f"it did not answer for {self._team.silence:.0f} seconds")


def _serve(
    connection: Connection, worker: int, work: Workload[Any, Any], device: str, prepare: Callable[[], None]
) -> None:
    """What a process does: load, then one task after the other."""
    lock = threading.Lock()

    def send(message: Event | None) -> None:
        with lock:
            connection.send(message)

    def beat() -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            try:
                send(None)
            except OSError:
                return

    threading.Thread(target=beat, daemon=True, name="heartbeat").start()
    try:
        prepare()
        do = work.open(device)
        send(WorkerReady(worker))
        while True:
            send(TaskDone(worker, do(connection.recv())))
    except EOFError:
        return
    except Exception as fault:  # noqa: BLE001  # it is raised in the process that shares out the work
        send(failed(worker, fault))


def failed(worker: int, fault: Exception) -> TaskFailed:
    """The report about an error. Call it while the error is handled."""
    if isinstance(fault, T2SError):
        return TaskFailed(worker, str(fault), can_be_corrected=True)
    return TaskFailed(worker, traceback.format_exc(), can_be_corrected=False)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a process that is started in this block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
