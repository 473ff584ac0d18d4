"""The processes (ranks) of one run: joining them, and exchanging values.

torchrun, or Ray Train on a cluster, starts the processes and numbers them in the variables RANK, LOCAL_RANK and
WORLD_SIZE. In a process that neither of them started, these functions treat the process as the only one of the run.
"""

import os
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")

PATIENCE = timedelta(hours=2)
"""How long ranks wait for each other. The others wait while the first rank reads the images of a benchmark."""


def count() -> int:
    """How many ranks the run has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """True in the rank that decides and writes."""
    return os.environ.get("RANK", "0") == "0"


def join(device: str, zero: bool = False) -> None:
    """Connect with the other ranks.

    Args:
        device: ``cpu`` or ``cuda[:n]``, of this rank.
        zero: True if DeepSpeed runs the training; then it makes the connection, because it counts the ranks itself.
    """
    # Ray Train has connected the ranks. DeepSpeed then takes over that connection.
    if not zero and (dist.is_initialized() or count() == 1):
        return
    if device != "cpu":
        torch.cuda.set_device(device)
    backend = "gloo" if device == "cpu" else "nccl"
    if zero:
        import deepspeed

        deepspeed.init_distributed(backend, timeout=PATIENCE, verbose=False)
    else:
        dist.init_process_group(backend, timeout=PATIENCE)


def leave() -> None:
    """Disconnect from the other ranks."""
    if dist.is_initialized():
        dist.destroy_process_group()


def from_first(value: Value) -> Value:
    """The value of the first rank, on every rank. The values of other ranks are ignored."""
    if count() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def from_all(value: Value) -> list[Value]:
    """The values of all ranks, in the order of the ranks."""
    if count() == 1:
        return [value]
    values: list[Value] = [value] * count()
    dist.all_gather_object(values, value)
    return values


def wait() -> None:
    """Wait until every rank has called this."""
    if count() > 1:
        dist.barrier()
