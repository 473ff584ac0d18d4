"""What a run will do, take and need, before it is started. No torch."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.datasets.published_counts import SAMPLES as PUBLISHED
from t2s_pipeline.lake.schema import SAMPLES, TRAINING_LOG
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.architecture import Architecture, architecture
from t2s_pipeline.training.estimate import DEVICES, Device, Memory, StepTime, checkpoint_gigabytes, memory, step_time

EMBEDDED = "qwen2.5-vl-mini"
"""It trains on a CPU."""

KNOWN_SAMPLES = {name: count for (name, split), count in PUBLISHED.items() if split == "train"}
"""Training images of a benchmark that is not in the lake yet, as published."""


@dataclass(frozen=True)
class EarlierRun:
    """What a run of the same name took on this machine."""

    seconds_a_step: float
    peak_megabytes: float


@dataclass(frozen=True)
class TrainingPlan:
    """``samples`` is None where nobody knows; sizes and what follows from them too."""

    experiment: Experiment
    samples: int | None
    counted: bool
    """Whether the samples are in the lake, and not taken from what was published."""
    sizes: Architecture | None
    memory: Memory | None
    times: tuple[tuple[Device, StepTime], ...]
    checkpoint_gb: float | None
    measured: EarlierRun | None
    missing: tuple[str, ...]
    """What this machine lacks, each with what to do."""

    @property
    def steps(self) -> int | None:
        if self.experiment.grpo.steps is not None:
            return self.experiment.grpo.steps
        return None if self.samples is None else self.experiment.grpo.total_steps(self.samples)


def training_plan(experiment: Experiment, settings: Settings) -> TrainingPlan:
    """The plan of an experiment on this machine."""
    counted = _samples(settings, experiment.dataset)
    sizes = architecture(experiment.prompter)
    needed = None if sizes is None else memory(experiment, sizes)
    embedded = experiment.prompter == EMBEDDED
    fitting = [device for device in DEVICES if needed is not None and not embedded and device.memory >= needed.peak]
    return TrainingPlan(
        experiment,
        counted if counted is not None else KNOWN_SAMPLES.get(experiment.dataset),
        counted is not None,
        sizes,
        needed,
        tuple((device, step_time(experiment, sizes, device)) for device in fitting),
        None if sizes is None else checkpoint_gigabytes(experiment, sizes),
        _measured(settings, experiment.run),
        tuple(_missing(experiment, settings, sizes, needed, counted)),
    )


def _samples(settings: Settings, dataset: str) -> int | None:
    try:
        rows = read_partition(settings.lake, SAMPLES, {"dataset": dataset, "split": "train"}, ["questions"])
    except NotMaterializedError:
        return None
    return pc.sum(pc.greater(pc.list_value_length(rows["questions"]), 0)).as_py() or 0


def _measured(settings: Settings, run: str) -> EarlierRun | None:
    if not fingerprint_of(settings.lake, TRAINING_LOG, {"run": run}):
        return None
    rows = read_partition(settings.lake, TRAINING_LOG, {"run": run}, ["seconds", "peak_mb"])
    if rows.num_rows == 0:
        return None
    return EarlierRun(pc.mean(rows["seconds"]).as_py(), pc.max(rows["peak_mb"]).as_py() or 0.0)


def _missing(
    experiment: Experiment, settings: Settings, sizes: Architecture | None, needed: Memory | None, samples: int | None
) -> list[str]:
    found = []
    embedded = experiment.prompter == EMBEDDED
    if not settings.worker_python.exists():
        found.append(f"The worker's environment is not at {settings.worker_python}: make setup")
    else:
        found += _missing_packages(experiment, settings.worker_python)
        found += _missing_prompter(experiment.prompter, settings.worker_python)
    name, _, weights = experiment.segmenter.partition("@")
    if name != "sam2-mini" and not Path(weights or name).expanduser().is_file():
        found.append(f"The segmenter's checkpoint is not here: fetch it, then --set segmenter={name}@FILE")
    if samples is None:
        found.append(f"The training split of {experiment.dataset} is not in the lake: t2s ingest, or t2s demo")
    if sizes is None:
        found.append(f"Nothing is known of {experiment.prompter}'s sizes: give its folder for an estimate")
    if not embedded:
        found += _missing_gpus(experiment, needed)
    if experiment.recipe.labels:
        found.append(f"It learns from the pseudo-labels {experiment.recipe.labels}, which must be made first")
    return found


def _missing_packages(experiment: Experiment, python: Path) -> list[str]:
    wanted = {
        "deepspeed": experiment.compute.zero > 0,
        "vllm": experiment.compute.rollouts == "vllm",
        experiment.watch.report_to: bool(experiment.watch.report_to),
    }
    names = [name for name, needed in wanted.items() if needed]
    if not names:
        return []
    script = (
        "import json, sys; from importlib.util import find_spec;"
        "print(json.dumps([name for name in sys.argv[1:] if find_spec(name) is None]))"
    )
    told = subprocess.run([python, "-c", script, *names], capture_output=True, text=True, check=True)
    return [f"The worker's environment has no {name}: pip install {name} there" for name in json.loads(told.stdout)]


def _missing_prompter(prompter: str, python: Path) -> list[str]:
    """Asked of the worker, whose packages know the local Hub cache."""
    script = (
        "import sys\n"
        "from t2s_pipeline.core.errors import InputError\n"
        "from t2s_pipeline.prompters.weights import folder_of\n"
        "try: folder_of(sys.argv[1])\n"
        "except InputError as fault: print(' '.join(str(fault).split()))"
    )
    told = subprocess.run([python, "-c", script, prompter], cwd=REPO, capture_output=True, text=True, check=True)
    return [told.stdout.strip()] if told.stdout.strip() else []


def _missing_gpus(experiment: Experiment, needed: Memory | None) -> list[str]:
    """Whether this node has the GPUs that its ranks take, with the memory that they are estimated to need."""
    here, wanted = gpus(), experiment.compute.processes
    if len(here) < wanted:
        return [
            f"{wanted} CUDA device{'s' if wanted > 1 else ''} on this node; there {'are' if here else 'is'} "
            f"{len(here) or 'none'}"
        ]
    smallest = min(here[:wanted])
    if needed is not None and smallest < needed.peak:
        return [f"{needed.peak:.0f} GB a GPU; the smallest here has {smallest:.0f}: see the presets"]
    return []


def gpus() -> list[float]:
    """Memory of each NVIDIA device of this machine, GB (10⁹ bytes); empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True)
    return [int(line) * 2**20 / 1e9 for line in done.stdout.split()] if done.returncode == 0 else []
