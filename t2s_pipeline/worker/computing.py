"""What a command of the worker computes with: the libraries, their threads, and the devices that share its work."""

import argparse
import os
import warnings
from functools import partial
from pathlib import Path

from t2s_pipeline.core.distribution.crew import Team, ThisProcess
from t2s_pipeline.core.distribution.pools import ray_extra
from t2s_pipeline.core.distribution.processes import Processes, WorkerDevice
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.freed_memory import keep_freed_memory
from t2s_pipeline.core.quick_imports import quick_imports
from t2s_pipeline.core.settings import DEVICES, RAY_ADDRESS
from t2s_pipeline.segmenters.registry import find_segmenter
from t2s_pipeline.worker.options import THREADS
from t2s_pipeline.worker.pulse import silence_limit

ALL = "all"

TRAINING_THREADS = 2
"""Of a training on a CPU that is launched alone."""

TRAINING_KEEPS_BYTES = 1_000_000_000
"""The most freed memory at the end of the heap that a training on a CPU keeps for its next step."""


def choose_device(options: argparse.Namespace, ranks: int) -> None:
    """Make only its own device visible to a process that trains.

    A single trainer would use all devices that it sees. A rank takes the device with its number.

    Raises:
        InputError: if there is no such device.
    """
    if ranks == 1 and options.device != "cpu":
        number = (options.device or "cuda:0").partition(":")[2] or "0"
        if (listed := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
            devices = dict(enumerate(listed.split(",")))
            if int(number) not in devices:
                raise InputError(f"There is no device {options.device}: CUDA_VISIBLE_DEVICES is {listed!r}.")
            number = devices[int(number)]
        os.environ["CUDA_VISIBLE_DEVICES"] = number
        options.device = "cuda:0" if options.device else None
    elif ranks > 1 and options.device != "cpu":
        options.device = None


def prepare(options: argparse.Namespace) -> str:
    """Set what must be set before the libraries are imported, then return the device of this process."""
    if options.device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    prepare_libraries(_threads())
    import torch

    if options.device:
        return str(options.device)
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "cpu"


def prepare_training(options: argparse.Namespace, ranks: int = 1) -> str:
    """As ``prepare``. On a CPU, a training computes with two threads, unless OMP_NUM_THREADS is set.

    The last bits of its weights depend on the number of threads, so that number does not depend on the machine. Of
    several ranks each has one thread, and so has each of several trainings that are launched together
    (``launcher.training_with``).
    """
    device = prepare(options)
    if device == "cpu":
        # The tensors of a step have the sizes of those of the step before.
        keep_freed_memory(TRAINING_KEEPS_BYTES, with_large_blocks=True)
        if _may_choose_threads():
            import torch

            torch.set_num_threads(int(os.environ.get(THREADS) or (TRAINING_THREADS if ranks == 1 else 1)))
    return device


def prepare_libraries(threads: int) -> None:
    """Set what must be set before models are loaded, in every process that loads one.

    Args:
        threads: that torch computes with.
    """
    # Models are folders on this machine. Nothing is looked up or downloaded without the user's consent.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with quick_imports():
        import torch
        from transformers.utils import logging

    # The libraries' own progress bars and advice would hide ours.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers has no annotations here
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(threads)
    # An answer or a mask needs arrays of the sizes of those before it.
    keep_freed_memory()


def _threads() -> int:
    """The threads that a single process computes with.

    torch counts physical cores by default, which is half of a small machine's.
    """
    # OpenMP's variable may be a list, with a number for each level of nesting.
    outermost = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(outermost or os.environ.get(THREADS) or _cores())


def _may_choose_threads() -> bool:
    return "OMP_NUM_THREADS" not in os.environ


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def team_of(
    options: argparse.Namespace, home: Path, text_only: bool = False, only_here: bool = False, segmenter: str = ""
) -> Team:
    """Who does the windows of a command: this process, a process per device, or a Ray cluster.

    Each worker computes with as many threads as a single process would, because the last bits of a mask's scores depend
    on that number. A text does not, so processes that only write texts share the cores. A miniature segmenter has one
    thread on a CPU, unless OMP_NUM_THREADS is set: two would make it a fifth faster, and its scores are the same on any
    number of cores.

    Args:
        options: of the command; ``device`` names the one device that is meant.
        home: T2S_HOME.
        text_only: the command does nothing but write texts.
        only_here: the command reads files of this machine, so no cluster can do it.
        segmenter: the one that does most of the work, if one does.

    Raises:
        InputError: if T2S_DEVICES cannot be used.
        T2SError: if there is a cluster and Ray is not installed.
    """
    device, threads = prepare(options), _threads()
    if device == "cpu" and _may_choose_threads() and segmenter and find_segmenter(segmenter)[0].is_miniature:
        threads = 1
    asked_for = _devices_to_use()
    if (address := os.environ.get(RAY_ADDRESS, "")) and not options.device and not only_here:
        with ray_extra():
            from t2s_pipeline.core.distribution.ray_crew import RayTeam

        return RayTeam(address, asked_for, home, partial(prepare_libraries, threads), silence_limit())
    devices = _devices(device, asked_for, bool(options.device))
    if len(devices) == 1:
        prepare_libraries(threads)  # the segmenter may need fewer than ``prepare`` has set
        return ThisProcess(device)
    if device == "cpu" and text_only and _may_choose_threads():
        threads = max(1, threads // len(devices))
    return Processes(devices, partial(prepare_libraries, threads), silence_limit())


def _devices_to_use() -> int | None:
    """The number of devices that T2S_DEVICES asks for: 0 for all of them, None for the default.

    Raises:
        InputError: if it is something else.
    """
    text = os.environ.get(DEVICES, "")
    if text == ALL:
        return 0
    if text and (not text.isdecimal() or int(text) < 1):
        raise InputError(f"{DEVICES} is {text!r}: give the number of devices, or {ALL}.")
    return int(text) if text else None


def _devices(device: str, asked_for: int | None, is_chosen: bool) -> tuple[WorkerDevice, ...]:
    """The devices of this machine that are used. The default is every GPU, or one process on a machine without any.

    Args:
        device: of this process.
        asked_for: how many; 0 for all, None for the default.
        is_chosen: the user named this device, so no other is used.

    Raises:
        InputError: if there are not as many GPUs.
    """
    if is_chosen:
        return (WorkerDevice(device),)
    if device == "cpu":
        count = 1 if asked_for is None else asked_for or _cores()
        return (WorkerDevice("cpu"),) * count
    import torch

    count = torch.cuda.device_count()
    if asked_for and asked_for > count:
        raise InputError(f"{DEVICES} is {asked_for}, and this machine has {count}: give at most that number, or {ALL}.")
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    numbers = listed.split(",") if listed else [str(number) for number in range(count)]
    # A process that sees one device only cannot use another one by mistake.
    return tuple(WorkerDevice("cuda:0", {"CUDA_VISIBLE_DEVICES": number}) for number in numbers[: asked_for or count])
