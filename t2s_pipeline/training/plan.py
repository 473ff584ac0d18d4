"""What a training run will do and take, and what this machine lacks for it, before it is started."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.datasets.registry import published_samples
from t2s_pipeline.lake.schema import SAMPLES, TRAINING_LOG
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.segmenters.registry import find_segmenter
from t2s_pipeline.training.architecture import Architecture, architecture
from t2s_pipeline.training.estimate import DEVICES, Device, Memory, StepTime, checkpoint_gigabytes, memory, step_time


@dataclass(frozen=True)
class EarlierRun:
    """What a run of the same name took on this machine."""

    seconds_per_step: float
    peak_megabytes: float


@dataclass(frozen=True)
class TrainingPlan:
    """An experiment with the numbers that are known before it runs. A number that cannot be known is None."""

    experiment: Experiment
    samples: int | None
    """Training samples."""
    counted: bool
    """True if the samples were counted in the lake, False if the number is the published one."""
    sizes: Architecture | None
    memory: Memory | None
    times: tuple[tuple[Device, StepTime], ...]
    """The estimated time of a step on each GPU that has enough memory."""
    checkpoint_gb: float | None
    """Disk space of one checkpoint, in GB (10⁹ bytes)."""
    earlier: EarlierRun | None
    missing: tuple[str, ...]
    """What this machine lacks, each with what to do."""

    @property
    def steps(self) -> int | None:
        """Optimizer steps of the whole run."""
        if self.experiment.grpo.steps is not None:
            return self.experiment.grpo.steps
        return None if self.samples is None else self.experiment.grpo.total_steps(self.samples)


def training_plan(experiment: Experiment, settings: Settings) -> TrainingPlan:
    """The plan of an experiment on this machine."""
    counted = _samples(settings, experiment.dataset)
    sizes = architecture(experiment.prompter)
    needed = None if sizes is None else memory(experiment, sizes)
    return TrainingPlan(
        experiment,
        counted if counted is not None else published_samples(experiment.dataset, "train"),
        counted is not None,
        sizes,
        needed,
        _times(experiment, sizes, needed),
        None if sizes is None else checkpoint_gigabytes(experiment, sizes),
        _earlier_run(settings, experiment.run),
        tuple(_missing(experiment, settings, sizes, needed, counted)),
    )


def _times(
    experiment: Experiment, sizes: Architecture | None, needed: Memory | None
) -> tuple[tuple[Device, StepTime], ...]:
    if sizes is None or needed is None or experiment.prompter == EMBEDDED_PROMPTER:  # it trains on a CPU
        return ()
    fitting = [device for device in DEVICES if device.memory >= needed.peak]
    return tuple((device, step_time(experiment, sizes, device)) for device in fitting)


def _samples(settings: Settings, dataset: str) -> int | None:
    """The training samples in the lake that have a question; None if the split is not there."""
    try:
        rows = read_partition(settings.lake, SAMPLES, {"dataset": dataset, "split": "train"}, ["questions"])
    except NotMaterializedError:
        return None
    return pc.sum(pc.greater(pc.list_value_length(rows["questions"]), 0)).as_py() or 0


def _earlier_run(settings: Settings, run: str) -> EarlierRun | None:
    """The figures of a finished run of this name; None if there is none."""
    if not fingerprint_of(settings.lake, TRAINING_LOG, {"run": run}):
        return None
    rows = read_partition(settings.lake, TRAINING_LOG, {"run": run}, ["seconds", "peak_mb"])
    if rows.num_rows == 0:
        return None
    return EarlierRun(pc.mean(rows["seconds"]).as_py(), pc.max(rows["peak_mb"]).as_py() or 0.0)


def _missing(
    experiment: Experiment, settings: Settings, sizes: Architecture | None, needed: Memory | None, samples: int | None
) -> Iterator[str]:
    """What this machine lacks for the experiment: sentences that also say what to do."""
    if not settings.worker_python.exists():
        yield f"The worker's environment is not at {settings.worker_python}: make setup"
    else:
        yield from _missing_packages(experiment, settings.worker_python)
        yield from _missing_prompter(experiment.prompter, settings.worker_python)
    yield from _missing_segmenter(experiment.segmenter)
    if samples is None:
        yield f"The training split of {experiment.dataset} is not in the lake: t2s ingest, or t2s demo"
    if sizes is None:
        yield f"The sizes of {experiment.prompter} are unknown: give its folder to get an estimate"
    if experiment.prompter != EMBEDDED_PROMPTER:
        yield from _missing_gpus(experiment, needed)
    if experiment.recipe.labels:
        yield f"It learns from the pseudo-labels {experiment.recipe.labels}, which must be made first"


def _missing_packages(experiment: Experiment, python: Path) -> Iterator[str]:
    """The optional packages that the settings need and the worker's environment does not have."""
    optional = {
        "deepspeed": experiment.compute.zero > 0,
        "vllm": experiment.compute.rollouts == "vllm",
        experiment.watch.report_to: bool(experiment.watch.report_to),
    }
    names = [name for name, needed in optional.items() if needed]
    if not names:
        return
    script = (
        "import json, sys; from importlib.util import find_spec;"
        "print(json.dumps([name for name in sys.argv[1:] if find_spec(name) is None]))"
    )
    answer = subprocess.run([python, "-c", script, *names], capture_output=True, text=True, check=True)
    for name in json.loads(answer.stdout):
        yield f"The worker's environment has no {name}: pip install {name} there"


def _missing_segmenter(name_or_path: str) -> Iterator[str]:
    """The segmenter's checkpoint, if it is not a file on this machine. The Hub cache is not searched."""
    try:
        segmenter, file = find_segmenter(name_or_path)
    except InputError as fault:
        yield str(fault)
        return
    weights = file or segmenter.weights
    if not isinstance(weights, Path) or not weights.expanduser().is_file():
        setting = f"--set segmenter={segmenter.name}@FILE"
        yield f"The segmenter's checkpoint is not on this machine: download it, then {setting}"


def _missing_prompter(prompter: str, python: Path) -> Iterator[str]:
    """What the worker says if it cannot find the prompter: only its packages know the local Hub cache."""
    script = (
        "import sys\n"
        "from t2s_pipeline.core.errors import InputError\n"
        "from t2s_pipeline.prompters.weights import folder_of\n"
        "try: folder_of(sys.argv[1])\n"
        "except InputError as fault: print(' '.join(str(fault).split()))"
    )
    answer = subprocess.run([python, "-c", script, prompter], cwd=REPO, capture_output=True, text=True, check=True)
    if message := answer.stdout.strip():
        yield message


def _missing_gpus(experiment: Experiment, needed: Memory | None) -> Iterator[str]:
    """What this machine lacks of the GPUs that the ranks need, in number or in estimated memory."""
    present, required = gpus(), experiment.compute.processes
    if len(present) < required:
        yield (
            f"{required} CUDA device{'s' if required > 1 else ''} on this node; there {'are' if present else 'is'} "
            f"{len(present) or 'none'}"
        )
        return
    smallest = min(present[:required])
    if needed is not None and smallest < needed.peak:
        yield f"{needed.peak:.0f} GB per GPU; the smallest GPU of this node has {smallest:.0f}: see the presets"


def gpus() -> list[float]:
    """Memory of each NVIDIA device of this machine, in GB (10⁹ bytes); empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True)
    return [int(line) * 2**20 / 1e9 for line in answer.stdout.split()] if answer.returncode == 0 else []
