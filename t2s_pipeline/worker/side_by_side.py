"""Independent work at the same time: several workers, which answer with one thread each on a CPU.

An answer is the same text with one thread as with several (compared on 789 questions for each of three systems), and a
miniature segmenter has one thread on a CPU in any case (computing.py). Who launches several trainings gives each one
thread (``launcher.training_with``). The scores of masks differ in their last bits, so a larger segmenter keeps all
threads and segments one system after the other. On a GPU all work is done so, because the pool `gpu` has one slot per
run.
"""

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from typing import TypeVar

import psutil

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.worker.launcher import answering_with, stop_running

Result = TypeVar("Result")

LANES = "T2S_SIDE_BY_SIDE"
"""The environment variable with the number of workers that may run at the same time."""

MOST_LANES = 4
"""The default never exceeds this number."""

LANE_BYTES = 3_000_000_000
"""Free memory that one more worker needs. The embedded models need half of it."""

PAUSE = 0.5
"""Seconds between two looks at jobs that are being stopped."""

THREADS = "OMP_NUM_THREADS"


def lanes(jobs: int) -> int:
    """How many of these jobs run at the same time.

    By default it is one per processor core, at most four, and only as many as the free memory allows. It is one if the
    machine has a GPU. If OMP_NUM_THREADS is set, each worker has that many threads.

    Raises:
        InputError: if T2S_SIDE_BY_SIDE is not a number above 0.
    """
    text = os.environ.get(LANES, "")
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise InputError(f"{LANES} is {text!r}: give the number of workers that may run at the same time.")
        return min(int(text), jobs)
    if shutil.which("nvidia-smi") is not None:
        return 1
    threads = os.environ.get(THREADS, "")
    cores = _cores() // (int(threads) if threads.isdecimal() and int(threads) > 0 else 1)
    memory = psutil.virtual_memory().available // LANE_BYTES
    return max(1, min(cores, memory, MOST_LANES, jobs))


def side_by_side(
    jobs: Sequence[Callable[[], Result]], take: Callable[[Result], None], share_cores: bool = True
) -> None:
    """Do independent jobs, several at the same time, each in a thread.

    After a job that failed, no other job begins, and those that run are finished. If this thread is interrupted, their
    workers are stopped.

    Args:
        jobs: each launches workers and waits for them.
        take: gets the results in the order of the jobs, in this thread.
        share_cores: false if a job takes all cores, so that one follows the other.

    Raises:
        Exception: the first error of a job, in the order of the jobs.
    """
    number = lanes(len(jobs)) if share_cores else 1
    if number <= 1:
        for job in jobs:
            take(job())
        return
    stopping = threading.Event()

    def run(job: Callable[[], Result]) -> Result:
        if stopping.is_set():
            raise CancelledError
        try:
            return job()
        except BaseException:
            stopping.set()
            raise

    with answering_with(1), ThreadPoolExecutor(number, "side by side") as pool:
        futures = [pool.submit(run, job) for job in jobs]
        try:
            for future in futures:
                take(future.result())
        except Exception:
            stopping.set()
            raise
        except BaseException:
            stopping.set()
            # A job may launch its next worker after its last one was stopped.
            while wait(futures, timeout=PAUSE).not_done:
                stop_running()
            raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
