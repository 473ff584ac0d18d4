"""Workers that are actors of a Ray cluster, on any of its machines.

https://docs.ray.io/en/latest/ray-core/actors.html says what an actor is. Ray is the extra ``ray``; this module and
``worker/ray_job.py`` import it. The machines of the cluster have the same packages, and see T2S_HOME and the folders of
models at the same paths.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from t2s_pipeline.core.environment import positive_number
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.distribution.crew import Event, Result, Task, TaskDone, WorkerEnded, WorkerReady, Workload
from t2s_pipeline.distribution.lease import LEASE, held_lease, watch_lease
from t2s_pipeline.distribution.processes import failed
from t2s_pipeline.distribution.sharing import SharedWork

PATIENCE = "T2S_RAY_PATIENCE"
"""The environment variable with the seconds that a cluster may leave us without a single worker."""

PATIENCE_SECONDS = 600.0

PASSED_ON = ("T2S_", "HF_")
"""Variables that begin so reach the actors."""

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class RayTeam:
    """A ``Team`` of actors, one per GPU of the cluster; one per machine on a cluster without GPUs.

    Attributes:
        address: HOST:PORT of the cluster's head, or ``auto`` on one of its machines.
        size: the number of actors; None or 0 for one per GPU.
        home: T2S_HOME, where the lease is.
        prepare: called in each actor before anything else.
    """

    address: str
    size: int | None
    home: Path
    prepare: Callable[[], None]

    def do(
        self, work: Workload[Task, Result], tasks: Iterable[tuple[int, Task]], take: Callable[[int, Result], None]
    ) -> None:
        """Do all tasks. The actors end with this call.

        Raises:
            T2SError: if the cluster does not answer, has no free device, or a task fails.
        """
        patience = positive_number(PATIENCE, PATIENCE_SECONDS)
        with self._connection(), self._lease() as lease:
            gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]  # Ray has none here
            machines = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
            crew = _RayCrew(self, work, lease, self.size or gpus or machines, uses_gpu=gpus > 0)
            try:
                SharedWork(crew, tasks, take, patience).finish()
            finally:
                crew.close()

    @contextmanager
    def _connection(self) -> Iterator[None]:
        variables = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        # The actors of a job get its variables.
        environment = None if LEASE in os.environ else {"env_vars": variables}
        try:
            ray.init(self.address, log_to_driver=False, runtime_env=environment, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as fault:
            sentence = " ".join(str(fault).split())
            raise T2SError(f"The Ray cluster at {self.address} cannot be used: {sentence}") from fault
        try:
            yield
        finally:
            ray.shutdown()

    @contextmanager
    def _lease(self) -> Iterator[Path]:
        """The launcher's lease, or one of our own."""
        if launchers := os.environ.get(LEASE):
            yield Path(launchers)
        else:
            with held_lease(self.home) as lease:
                yield lease


class _Actor:
    """One worker, in a process of the cluster."""

    def __init__(self, worker: int, work: Workload[Any, Any], prepare: Callable[[], None], lease: Path) -> None:
        watch_lease(lease, lambda: os._exit(1))
        self._worker, self._work, self._prepare = worker, work, prepare
        self._do: Callable[[Any], Any]

    def load(self, uses_gpu: bool) -> Event:
        """Load the models. Ray shows the process its own GPU only."""
        try:
            self._prepare()
            self._do = self._work.open("cuda:0" if uses_gpu else "cpu")
        except Exception as fault:  # noqa: BLE001  # it is raised in the process that shares out the work
            return failed(self._worker, fault)
        return WorkerReady(self._worker)

    def do(self, task: Any) -> Event:
        """Do one task."""
        try:
            return TaskDone(self._worker, self._do(task))
        except Exception as fault:  # noqa: BLE001
            return failed(self._worker, fault)


class _RayCrew:
    def __init__(self, team: RayTeam, work: Workload[Any, Any], lease: Path, size: int, uses_gpu: bool) -> None:
        self.size = size
        self._uses_gpu, self._lease, self._prepare = uses_gpu, lease, team.prepare
        # Once in the cluster's memory, not once per actor.
        self._work = ray.put(work)
        self._kind: Any = ray.remote(
            num_gpus=1 if uses_gpu else 0, num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )(_Actor)
        self._actors: dict[int, Any] = {}
        self._answers: dict[int, list[ray.ObjectRef[Event]]] = {}
        """The answers that each actor owes, oldest first."""

    def start(self, worker: int) -> None:
        """Ask for an actor. It waits until the cluster has a free device."""
        actor = self._kind.remote(worker, self._work, self._prepare, self._lease)
        self._actors[worker] = actor
        self._answers[worker] = [actor.load.remote(self._uses_gpu)]

    def give(self, worker: int, task: Any) -> None:
        """Send a task."""
        self._answers[worker].append(self._actors[worker].do.remote(task))

    def events(self) -> Sequence[Event]:
        """The answers that are there, and which actors have ended."""
        oldest = {answers[0]: worker for worker, answers in self._answers.items() if answers}
        waiting = list(oldest)
        ready, _ = ray.wait(waiting, num_returns=1, timeout=LOOK_SECONDS, fetch_local=False)
        if ready:
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        return [self._event(oldest[answer], answer) for answer in ready]

    def _event(self, worker: int, answer: "ray.ObjectRef[Event]") -> Event:
        try:
            event = ray.get(answer)
        except RayError as fault:
            # The actor, its machine, or the memory with its answer is gone.
            self._kill(worker)
            return WorkerEnded(worker, " ".join(str(fault).split("\n")[0].split()))
        del self._answers[worker][0]
        return event

    def close(self) -> None:
        """End all actors."""
        for worker in list(self._actors):
            self._kill(worker)

    def _kill(self, worker: int) -> None:
        self._answers.pop(worker, None)
        try:
            ray.kill(self._actors.pop(worker))
        except RayError:
            return
