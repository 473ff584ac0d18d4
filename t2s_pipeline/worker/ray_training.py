"""A training whose ranks are processes of a Ray cluster, on any of its machines.

https://docs.ray.io/en/latest/train/getting-started-pytorch.html describes Ray Train's ``TorchTrainer``. It starts the
ranks in place of torchrun and connects them. Each rank then does what a rank of torchrun does: it trains into the same
run folder in T2S_HOME, which all machines see. So a run that was stopped on a cluster goes on here, and the other way
round.

Ray Train itself starts no rank again. When one is lost, the run goes on from its last checkpoint with new ranks, as
long as it gets further between two losses.
"""

import argparse
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.queue import Empty, Queue

from t2s_pipeline.core.distribution.lease import watch_lease
from t2s_pipeline.core.distribution.ray_connection import CONNECTIONS, resources
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.progress import NoProgress, Number, Progress, is_first_rank
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.checkpoints import latest

DEATHS = 3
"""So often ranks may die without a new checkpoint in between."""

PATIENCE_SECONDS = 7200
"""How long ranks wait for each other, as in training/ranks.py."""

LISTEN_SECONDS = 1.0
"""How long a call of the first rank is waited for at a time."""


def train_on_cluster(
    options: argparse.Namespace, experiment: Experiment, home: Path, address: str, progress: Progress
) -> None:
    """Train a run on a cluster, and wait for its end.

    Args:
        options: of the worker's command ``train``.
        experiment: that is trained, in as many processes as it has ranks.
        home: T2S_HOME.
        address: HOST:PORT of the cluster's head, or ``auto`` on one of its machines.
        progress: gets what the first rank reports.

    Raises:
        T2SError: if the cluster does not answer or has too few GPUs, if a rank fails, or if ranks die again and again.
    """
    run, ranks = experiment.run, experiment.compute.ranks
    folder = home / "tmp" / "ray_train" / run
    connection = CONNECTIONS.get(address, home)
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        # Ends all ranks that still run.
        ending.callback(CONNECTIONS.close)
        there = resources()
        if 0 < there.gpus < ranks:
            raise InputError(
                f"{run} trains with {ranks} processes, and the cluster has {there.gpus} GPUs: set compute.processes."
            )
        queue = ending.enter_context(_shown(progress))
        config = {"options": options, "lease": connection.lease, "queue": queue}
        config["is_alone"] = ranks == 1 and not experiment.compute.zero
        train = partial(_train, config, ranks, there.gpus > 0, folder)
        _train_to_the_end(run, options, train, home, progress)


def _train_to_the_end(
    run: str, options: argparse.Namespace, train: Callable[[], str], home: Path, progress: Progress
) -> None:
    """Let ranks train until the run is complete. They are started again when one was lost.

    Raises:
        T2SError: if ranks are lost again and again.
    """
    died, step, replaced = 0, _step(home, run), _identity(home, run)
    while fault := train():
        # With --fresh, only the first ranks that came so far put the earlier run away.
        options.fresh = options.fresh and _identity(home, run) == replaced
        reached = _step(home, run)
        died = 1 if reached > step else died + 1
        step = max(step, reached)
        if died == DEATHS:
            raise T2SError(
                f"{run} was given up: a process of it ended {DEATHS} times without a new checkpoint after step {step} "
                f"({fault}). The same command continues from there."
            )
        progress.say(f"A process of {run} ended ({fault}). The run continues from step {step}.", warning=True)


def _train(config: Mapping[str, Any], ranks: int, uses_gpu: bool, folder: Path) -> str:
    """Let all ranks train; empty if the run is complete, else how a rank ended that was lost.

    Raises:
        T2SError: that a rank raised.
    """
    trainer = TorchTrainer(
        _rank,
        train_loop_config=dict(config),
        # Ranks of one machine exchange gradients faster than those of several.
        scaling_config=ScalingConfig(num_workers=ranks, use_gpu=uses_gpu, placement_strategy="PACK"),
        torch_config=TorchConfig(timeout_s=PATIENCE_SECONDS),
        # What Ray writes about itself. Our checkpoints are in the run's folder.
        run_config=RunConfig(storage_path=str(folder), failure_config=FailureConfig(max_failures=0)),
    )
    try:
        trainer.fit()
    except WorkerGroupError as fault:
        causes = list(fault.worker_failures.values())
        for cause in causes:
            if isinstance(cause, T2SError):
                raise cause from fault
        if not any(_is_loss(cause) for cause in causes):
            raise
        return next(str(cause) for cause in causes if _is_loss(cause)).split("\n")[0].strip()
    return ""


def _is_loss(cause: BaseException) -> bool:
    """Whether a rank has ended without an error of its own, or has lost its connection to one that has."""
    of_ray = isinstance(cause, RayError) or type(cause).__module__.startswith("ray.train")
    # Gloo has no exception of its own.
    of_gloo = isinstance(cause, RuntimeError) and "gloo" in str(cause).lower()
    return of_ray or of_gloo or isinstance(cause, dist.DistError)


def _rank(config: dict[str, Any]) -> None:
    """What one rank does. Ray Train has set the variables that torchrun sets."""
    # Imported here: that module imports this one.
    from t2s_pipeline.worker.__main__ import COMMANDS

    watch_lease(config["lease"], lambda: os._exit(1))
    progress = _Forwarded(config["queue"]) if is_first_rank() else NoProgress()
    if config["is_alone"]:
        # A single process trains without a connection, as on one machine. Accelerate asks these variables.
        dist.destroy_process_group()
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            del os.environ[name]
    COMMANDS["train"](config["options"], progress)


class _Forwarded:
    """A ``Progress`` that is shown by the process that started the training."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Start to count."""
        self._queue.put(("start", (what, total, done), {}))

    def advance(self, done: int, note: str = "") -> None:
        """Report how far the step is."""
        self._queue.put(("advance", (done, note), {}))

    def say(self, message: str, warning: bool = False) -> None:
        """Write one sentence."""
        self._queue.put(("say", (message, warning), {}))

    def result(self, **metadata: Number) -> None:
        """Report the numbers."""
        self._queue.put(("result", (), metadata))


@contextmanager
def _shown(progress: Progress) -> Iterator[Queue]:
    """A queue for the first rank's calls, which are repeated here by a thread that ends with this block.

    A thread that asked the queue after the connection has been closed would make Ray connect once more.
    """
    queue, is_over = Queue(actor_options={"num_cpus": 0}), threading.Event()

    def listen() -> None:
        with suppress(RayError):
            while True:
                try:
                    name, arguments, named = queue.get(timeout=LISTEN_SECONDS)
                except Empty:
                    if is_over.is_set():
                        return
                else:
                    getattr(progress, name)(*arguments, **named)

    listener = threading.Thread(target=listen, daemon=True, name="progress")
    listener.start()
    try:
        yield queue
    finally:
        is_over.set()
        listener.join()


def _identity(home: Path, run: str) -> int | None:
    """The number of the run's folder, which a new folder of that name does not have; None without one."""
    folder = home / "runs" / run
    return folder.stat().st_ino if folder.is_dir() else None


def _step(home: Path, run: str) -> int:
    """The step of the run's last checkpoint; 0 without one."""
    checkpoint = latest(home / "runs" / run)
    return checkpoint.step if checkpoint else 0
