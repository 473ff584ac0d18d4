"""Starting the worker from the orchestrator, and keeping it for the next command.

This is the plain form, for the command line. Dagster's form (Pipes) is a resource (``assets/resources.py``). Both are
a ``Launch``.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from t2s_pipeline.core.distribution.pools import JOB_ADDRESSES, ray_extra
from t2s_pipeline.core.launch import Launch
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.worker.options import SERVE, THREADS
from t2s_pipeline.worker.process import EndedWhileIdle, WorkerProcess, to_stderr, worker_environment
from t2s_pipeline.worker.stopping import GRACE_SECONDS

SERVED = frozenset({"generate", "segment", "agree", "judge-labels", "ask"})
"""The worker's commands that a kept process runs. A training has a process of its own, and so has an export."""

SHARED = SERVED - {"ask"} | {"train"}
"""The commands that a Ray cluster does. Scenes are files of this machine."""

KEEP = "T2S_WARM_WORKER"
"""The environment variable that turns keeping off if it is ``off``: then each command has a process of its own."""


class WarmWorkers:
    """The worker processes that this process keeps between commands.

    A process that is kept has imported the libraries and holds the models of its last command (worker/serve.py). It
    ends when this process ends, when it was idle for some minutes, and when its memory exceeds a limit. After a command
    that failed, it is replaced. Threads may run commands at the same time: each has a process of its own.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[object, WorkerProcess]] = []
        self._lock = threading.Lock()

    def run(
        self,
        settings: Settings,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        grace: float,
        say: Callable[[str], None],
    ) -> None:
        """Run one command in a process that is kept, or in a new one if there is none for these settings.

        Its lines on standard error go to ``say``.

        Raises:
            WorkerError: if the command fails.
        """
        # A process reads most variables only when it starts. So it serves one environment.
        kind = (settings.worker_python, tuple(sorted(worker_environment(settings).items())))
        process = self._take(kind) or WorkerProcess(settings, [SERVE], {}, grace)
        try:
            stays = self._request(process, arguments, variables, say)
        except EndedWhileIdle:
            process = WorkerProcess(settings, [SERVE], {}, grace)
            stays = self._request(process, arguments, variables, say)
        if stays:
            with self._lock:
                self._idle.append((kind, process))

    def _request(
        self,
        process: WorkerProcess,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        say: Callable[[str], None],
    ) -> bool:
        """Let the process run the command; whether it takes another one. If not, it is stopped here."""
        stays = False
        try:
            with _running(process):
                stays = process.request(arguments, variables, say)
        finally:
            if not stays:
                process.stop()
        return stays

    def close(self) -> None:
        """End all processes that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, process in idle:
            process.stop()

    def _take(self, kind: object) -> WorkerProcess | None:
        """An idle process of that kind. Processes of another kind are ended: they would only take memory."""
        with self._lock:
            others = [process for other, process in self._idle if other != kind or not process.is_alive]
            same = [process for other, process in self._idle if other == kind and process.is_alive]
            taken = same.pop() if same else None
            self._idle = [(kind, process) for process in same]
        for process in others:
            process.stop()
        return taken


class Interruptible(Protocol):
    """A command that runs in another process."""

    def interrupt(self) -> None:
        """Let the thread that waits for it stop waiting."""
        ...


_RUNNING: set[Interruptible] = set()


@contextmanager
def _running(process: Interruptible) -> Iterator[None]:
    """List the process as one that runs a command."""
    _RUNNING.add(process)
    try:
        yield
    finally:
        _RUNNING.discard(process)


def stop_running() -> None:
    """Let every thread of this process that waits for a worker stop it: its launch fails within a second."""
    for process in list(_RUNNING):
        process.interrupt()


_THREADS: dict[str, list[int]] = {"generate": [], "train": []}
"""Command → what the blocks say that are being run, the innermost one last."""


@contextmanager
def _threads_of(command: str, threads: int) -> Iterator[None]:
    _THREADS[command].append(threads)
    try:
        yield
    finally:
        _THREADS[command].pop()


def answering_with(threads: int) -> AbstractContextManager[None]:
    """Let workers that are launched in this block generate text with so many threads, unless OMP_NUM_THREADS is set."""
    return _threads_of("generate", threads)


def training_with(threads: int) -> AbstractContextManager[None]:
    """Let workers that are launched in this block train with so many threads on a CPU, as ``answering_with``."""
    return _threads_of("train", threads)


def _threads(command: str) -> dict[str, str]:
    """The variable that sets the threads of a command; none leaves them as they are."""
    stated = _THREADS.get(command)
    return {THREADS: str(stated[-1])} if stated and "OMP_NUM_THREADS" not in os.environ else {}


WARM_WORKERS = WarmWorkers()
"""Those of this process."""

atexit.register(WARM_WORKERS.close)


def plain_launch(
    settings: Settings,
    grace: float = GRACE_SECONDS,
    variables: Mapping[str, str] | None = None,
    say: Callable[[str], None] = to_stderr,
) -> Launch:
    """A ``Launch`` that stops all processes of the worker when this process stops.

    The lines of the worker's stderr go to ``say``, except its error sentence, which becomes the error's message.

    This also works when this process is killed: the worker's standard input is a socket that it watches (tether.py).

    Args:
        settings: names the worker's interpreter and T2S_HOME.
        grace: seconds that the worker may take to stop after SIGTERM.
        variables: additional environment variables for the command. Dagster Pipes passes the address of its messages
            this way.
        say: takes a line; by default it is printed on our stderr.
    """

    def launch(arguments: Sequence[str]) -> None:
        added = {**(variables or {}), **_threads(arguments[0])}
        if arguments[0] in SHARED and settings.ray_address.startswith(JOB_ADDRESSES):
            with ray_extra():
                from t2s_pipeline.worker.ray_job import RayJob
            with _running(job := RayJob(settings, arguments, added, say)):
                job.finish()
            return
        if arguments[0] in SERVED and os.environ.get(KEEP) != "off":
            WARM_WORKERS.run(settings, arguments, added, grace, say)
            return
        # A training needs the memory of the models that are kept.
        WARM_WORKERS.close()
        process = WorkerProcess(settings, arguments, added, grace)
        try:
            with _running(process):
                process.finish(arguments, say)
        finally:
            process.stop()

    return launch
