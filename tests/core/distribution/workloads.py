"""Workloads without models, whose tasks do what a test needs. Workers import this module."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import InputError


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Squares:
    """A task is a number; its result is the square, the process that did it, the device, and CUDA's visible devices.

    Attributes:
        folder: each worker writes a file with its process id there.
        workers: a task is finished only after so many have.
    """

    folder: Path
    workers: int

    def open(self, device: str) -> Callable[[int], tuple[int, int, str, str | None]]:
        (self.folder / str(os.getpid())).touch()

        def do(task: int) -> tuple[int, int, str, str | None]:
            while len(list(self.folder.iterdir())) < self.workers:
                time.sleep(0.01)
            return task * task, os.getpid(), device, os.environ.get("CUDA_VISIBLE_DEVICES")

        return do


@dataclass(frozen=True)
class Deadly:
    """The task 3 kills its worker, as many times as ``times`` says. A file per death is written to ``folder``.

    Attributes:
        number: of the signal; SIGSTOP makes the worker silent.
    """

    folder: Path
    times: int
    number: signal.Signals = signal.SIGKILL

    def open(self, device: str) -> Callable[[int], int]:
        def do(task: int) -> int:
            if task == 3 and len(list(self.folder.iterdir())) < self.times:
                (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
                os.kill(os.getpid(), self.number)
            return task * task

        return do


@dataclass(frozen=True)
class DeadlyStart:
    """A worker that ends while it loads."""

    def open(self, device: str) -> Callable[[int], int]:
        os._exit(7)


@dataclass(frozen=True)
class Faulty:
    """The task 3 raises an error: one that the user can correct, or a bug."""

    can_be_corrected: bool

    def open(self, device: str) -> Callable[[int], int]:
        def do(task: int) -> int:
            if task == 3:
                raise InputError("This image is no image.") if self.can_be_corrected else ZeroDivisionError("a bug")
            return task

        return do


@dataclass(frozen=True)
class Forever:
    """Each worker writes a file with its process id, and never finishes."""

    folder: Path

    def open(self, device: str) -> Callable[[int], int]:
        def do(task: int) -> int:
            (self.folder / str(os.getpid())).touch()
            signal.pause()
            return task

        return do


def slow_square(number: int) -> int:
    """The square, after a moment in which a node can be killed."""
    time.sleep(0.05)
    return number * number


def wrong_piece(number: int) -> int:
    """Always wrong."""
    raise InputError("This piece is no piece.")
