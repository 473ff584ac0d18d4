"""Workers that are actors of a Ray cluster, on any of its machines.

https://docs.ray.io/en/latest/ray-core/actors.html says what an actor is. The machines of the cluster have the same
packages, and see T2S_HOME and the folders of models at the same paths.

An actor stays for a minute after its command, with its libraries and models, for the next command of the same process.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from t2s_pipeline.core.distribution.crew import Event, Result, Task, TaskDone, WorkerEnded, WorkerReady, Workload
from t2s_pipeline.core.distribution.lease import watch_lease
from t2s_pipeline.core.distribution.processes import failed
from t2s_pipeline.core.distribution.ray_connection import CONNECTIONS, Connection, resources
from t2s_pipeline.core.distribution.sharing import SharedWork
from t2s_pipeline.core.environment import positive_number

PATIENCE = "T2S_RAY_PATIENCE"
"""The environment variable with the seconds that a cluster may leave us without a single worker."""

PATIENCE_SECONDS = 600.0

LOOK_SECONDS = 1.0

BEAT_SECONDS = 5.0
"""Seconds between two heartbeats of an actor."""

PULSE = "pulse"
"""The group of an actor's methods that run beside its task."""

PROCESSORS = 1
"""Of a machine that an actor counts as its own, beside its GPU."""

IDLE_SECONDS = 60.0
"""After so long without a task an actor ends and gives its device back."""


@dataclass(frozen=True)
class RayTeam:
    """A ``Team`` of actors, one per GPU of the cluster; one per machine on a cluster without GPUs.

    Attributes:
        address: HOST:PORT of the cluster's head, or ``auto`` on one of its machines.
        size: the number of actors; None or 0 for one per GPU.
        home: T2S_HOME, where the lease is.
        prepare: called in each actor before anything else.
        silence: seconds without a heartbeat after which an actor is replaced.
    """

    address: str
    size: int | None
    home: Path
    prepare: Callable[[], None]
    silence: float

    def do(
        self, work: Workload[Task, Result], tasks: Iterable[tuple[int, Task]], take: Callable[[int, Result], None]
    ) -> None:
        """Do all tasks.

        Raises:
            T2SError: if the cluster does not answer, has no free device, or a task fails.
        """
        patience = positive_number(PATIENCE, PATIENCE_SECONDS)
        connection = CONNECTIONS.get(self.address, self.home)
        there = resources()
        crew = _RayCrew(self, connection, work, self.size or there.gpus or there.machines, uses_gpu=there.gpus > 0)
        try:
            SharedWork(crew, tasks, take, patience).finish()
        except BaseException:
            CONNECTIONS.close()
            raise
        crew.rest()


class _Actor:
    """One worker, in a process of the cluster."""

    def __init__(self, lease: Path) -> None:
        watch_lease(lease, lambda: os._exit(1))
        self._last = time.monotonic()
        self._is_busy = False
        self._do: Callable[[Any], Any]
        threading.Thread(target=self._end_when_idle, daemon=True, name="idle").start()

    def load(self, worker: int, work: Workload[Any, Any], prepare: Callable[[], None], uses_gpu: bool) -> Event:
        """Load the models. Ray shows the process its own GPU only."""

        def load() -> Event:
            prepare()
            self._do = work.open("cuda:0" if uses_gpu else "cpu")
            return WorkerReady(worker)

        return self._tried(worker, load)

    def do(self, worker: int, task: Any) -> Event:
        """Do one task."""
        return self._tried(worker, lambda: TaskDone(worker, self._do(task)))

    @ray.method(concurrency_group=PULSE)
    def beat(self) -> None:
        """Answer, also while a task is done."""

    def _tried(self, worker: int, call: Callable[[], Event]) -> Event:
        self._is_busy = True
        try:
            return call()
        except Exception as fault:  # noqa: BLE001  # it is raised in the process that shares out the work
            return failed(worker, fault)
        finally:
            self._last, self._is_busy = time.monotonic(), False

    def _end_when_idle(self) -> None:
        while self._is_busy or time.monotonic() - self._last < IDLE_SECONDS:
            time.sleep(LOOK_SECONDS)
        os._exit(0)


@dataclass(frozen=True)
class _Pulse:
    """The last heartbeat that an actor was asked for."""

    answer: "ray.ObjectRef[None]"
    asked: float
    has_started: bool = False


class _RayCrew:
    def __init__(
        self,
        team: RayTeam,
        connection: Connection,
        work: Workload[Any, Any],
        size: int,
        uses_gpu: bool,
    ) -> None:
        self.size = size
        self._team, self._connection, self._uses_gpu = team, connection, uses_gpu
        # Once in the cluster's memory, not once per actor.
        self._work = ray.put(work)
        # Ray's own types do not name all of them.
        options: dict[str, Any] = {
            "num_gpus": 1 if uses_gpu else 0,
            "num_cpus": PROCESSORS,
            "max_restarts": 0,
            "max_task_retries": 0,
            "concurrency_groups": {PULSE: 1},
            "scheduling_strategy": "SPREAD",
        }
        self._kind: Any = ray.remote(**options)(_Actor)
        self._actors: dict[int, Any] = {}
        self._answers: dict[int, list[ray.ObjectRef[Event]]] = {}
        """The answers that each actor owes, oldest first."""
        self._pulses: dict[int, _Pulse] = {}

    def start(self, worker: int) -> None:
        """Take an actor that has nothing to do, or ask for one. That one waits until the cluster has a free device."""
        idle = self._connection.idle
        actor = idle.pop() if idle else self._kind.remote(self._connection.lease)
        self._actors[worker] = actor
        self._answers[worker] = [actor.load.remote(worker, self._work, self._team.prepare, self._uses_gpu)]
        self._pulses[worker] = _Pulse(actor.beat.remote(), time.monotonic())

    def give(self, worker: int, task: Any) -> None:
        """Send a task."""
        self._answers[worker].append(self._actors[worker].do.remote(worker, task))

    def events(self) -> Sequence[Event]:
        """The answers that are there, and which actors have ended."""
        oldest = {answers[0]: worker for worker, answers in self._answers.items() if answers}
        waiting = list(oldest)
        ready, _ = ray.wait(waiting, num_returns=1, timeout=LOOK_SECONDS, fetch_local=False)
        if ready:
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        events = [self._event(oldest[answer], answer) for answer in ready]
        return [*events, *self._silent()]

    def _silent(self) -> Iterator[WorkerEnded]:
        """End actors that send no heartbeats: they are stopped (SIGSTOP) or hang.

        An actor that has sent none may not have started: the cluster has no room for it yet.
        """
        now = time.monotonic()
        for worker, actor in list(self._actors.items()):
            pulse = self._pulses[worker]
            if now - pulse.asked < BEAT_SECONDS:
                continue
            if ray.wait([pulse.answer], timeout=0, fetch_local=False)[0]:
                self._pulses[worker] = _Pulse(actor.beat.remote(), now, has_started=True)
            elif pulse.has_started and now - pulse.asked > self._team.silence:
                self._end(worker)
                yield WorkerEnded(worker, f"it did not answer for {self._team.silence:.0f} seconds")

    def _end(self, worker: int) -> None:
        del self._answers[worker]
        self._kill(self._actors.pop(worker))

    def _event(self, worker: int, answer: "ray.ObjectRef[Event]") -> Event:
        try:
            event = ray.get(answer)
        except RayError as fault:
            # The actor, its machine, or the memory with its answer is gone.
            self._end(worker)
            return WorkerEnded(worker, " ".join(str(fault).split("\n")[0].split()))
        del self._answers[worker][0]
        return event

    def rest(self) -> None:
        """Keep the actors that have nothing to do for the next command, and end those that have not started."""
        for worker, actor in self._actors.items():
            if self._answers[worker]:
                self._kill(actor)
            else:
                self._connection.idle.append(actor)

    def _kill(self, actor: Any) -> None:
        with suppress(RayError):
            ray.kill(actor)
