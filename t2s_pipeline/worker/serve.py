"""A worker process that runs one command after the other, as its launcher sends them.

Imports and models stay between commands, so the next command starts at once (core/model_slot.py). Everything else of a
command is its own: its output, its Dagster Pipes session, its exit code.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

from t2s_pipeline.core.environment import positive_number
from t2s_pipeline.core.model_slot import drop_all
from t2s_pipeline.worker.channel import Accepted, Receiver, Reply, Request, send, standard_input

IDLE = "T2S_WORKER_IDLE"
"""The environment variable with the seconds after which an idle worker ends."""

IDLE_SECONDS = 300.0
"""The default of T2S_WORKER_IDLE."""

MEMORY = "T2S_WORKER_MEMORY_GB"
"""The environment variable with the resident memory, in gigabytes (10⁹ bytes), above which a worker is not kept."""

MEMORY_SHARE = 0.25
"""The default of T2S_WORKER_MEMORY_GB as a share of the machine's memory."""

KEEPS_GPU = "T2S_WORKER_KEEPS_GPU"
"""The environment variable that lets an idle worker keep its models on a GPU if it is ``on``, until it ends."""

SUCCEEDED, FAILED = 0, 1


def serve(run: Callable[[Sequence[str]], int]) -> int:
    """Run the commands that the launcher sends, until it ends or none comes for some time; return the exit code.

    Args:
        run: runs one command with these arguments and returns its exit code.

    Raises:
        InputError: if T2S_WORKER_IDLE or T2S_WORKER_MEMORY_GB is not a number above 0.
    """
    idle, most = (
        positive_number(IDLE, IDLE_SECONDS),
        positive_number(MEMORY, psutil.virtual_memory().total / 1e9 * MEMORY_SHARE),
    )
    channel = standard_input()
    channel.settimeout(idle)
    receiver, stays = Receiver(channel), True
    while stays:
        try:
            messages = list(receiver.read())
        except TimeoutError:
            break
        if receiver.has_ended:
            break
        for message in messages:
            if not isinstance(message, Request):
                continue
            output, errors = receiver.take_files(2)
            with _streams(output, errors):
                send(channel, Accepted())
                code = _result(run, message)
            stays = code == SUCCEEDED and _can_stay(most)
            send(channel, Reply(code, stays))
    return SUCCEEDED


def _result(run: Callable[[Sequence[str]], int], request: Request) -> int:
    """The exit code of one command. An exception is a bug of ours: its traceback is the command's output."""
    with _variables(request.variables):
        try:
            return run(request.arguments)
        except Exception:  # noqa: BLE001  # as at the end of a process
            traceback.print_exc()
            return FAILED


def _can_stay(most: float) -> bool:
    """Whether this process may be kept. It gives back what an idle process must not hold.

    Args:
        most: gigabytes of resident memory.
    """
    # vLLM gives the memory of a GPU back only when the process ends.
    if "vllm" in sys.modules:
        return False
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized() and os.environ.get(KEEPS_GPU) != "on":
        # An idle process has no slot of the pool `gpu`, so another run may fill the GPU.
        drop_all()
        torch.cuda.empty_cache()
    return psutil.Process().memory_info().rss / 1e9 <= most


@contextmanager
def _streams(output: int, errors: int) -> Iterator[None]:
    """Use these file descriptors as standard output and standard error, and close them after that."""
    for number, file in ((1, output), (2, errors)):
        os.dup2(file, number)
        os.close(file)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nowhere, number)
        os.close(nowhere)


@contextmanager
def _variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these environment variables for one command."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
