"""The processes (ranks) of one run: joining them, and letting the first decide.  [torch]

torchrun starts them and tells each who it is in RANK, LOCAL_RANK and WORLD_SIZE. In a process that it did not
start every function here does nothing.
"""

import os
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")

PATIENCE = timedelta(hours=2)
"""How long ranks wait for each other: the first one reads a benchmark's images while the others have nothing to do."""


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def join(device: str, zero: bool = False) -> None:
    """Meet the other ranks; through DeepSpeed where it will run them, since it keeps count of them itself."""
    if dist.is_initialized() or (count() == 1 and not zero):
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
    if dist.is_initialized():
        dist.destroy_process_group()


def from_first(value: Value) -> Value:
    """The first rank's value, on every rank; the others' counts for nothing."""
    if count() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def from_all(value: Value) -> list[Value]:
    """Every rank's value, in the order of ranks."""
    if count() == 1:
        return [value]
    found: list[Value | None] = [None] * count()
    dist.all_gather_object(found, value)
    return found


def wait() -> None:
    """Until every rank is here."""
    if count() > 1:
        dist.barrier()
