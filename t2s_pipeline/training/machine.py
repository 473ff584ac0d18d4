"""What this machine has for training, read once for any number of experiments."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.datasets.catalog import find_dataset
from t2s_pipeline.lake.schema import PSEUDO_LABELS, SAMPLES
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.methods.experiment import Experiment

PATIENCE = 60
"""Seconds after which the worker's interpreter counts as broken."""
GIGABYTE = 1e9


@dataclass(frozen=True)
class Problem:
    """Why a model cannot be loaded, and the command that fetches it; empty if no command does."""

    sentence: str
    command: str


@dataclass(frozen=True)
class Machine:
    """What this machine has. Memory and disk space are in GB (10⁹ bytes).

    Attributes:
        worker_fault: why the worker's interpreter cannot be used; empty if it can.
        missing_packages: optional packages that its environment lacks.
        prompters: the prompters that it cannot load, by name.
        segmenters: the segmenters that it cannot load, by name.
        hub_cache: the folder of the local Hub cache; empty if the worker cannot be asked.
        gpus: the memory of each NVIDIA device.
        memory: of the machine.
        free_disk: below T2S_HOME.
        samples: dataset → the training samples in the lake that have a question; None if the split is not there.
        folders: the datasets whose files were found on this machine.
        labels: (labelling, dataset) of the training splits that are labelled.
    """

    worker_fault: str
    missing_packages: tuple[str, ...]
    prompters: Mapping[str, Problem]
    segmenters: Mapping[str, Problem]
    hub_cache: str
    gpus: tuple[float, ...]
    memory: float
    free_disk: float
    samples: Mapping[str, int | None]
    folders: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class WorkerAnswer:
    """What ``training/readiness.py`` answers; the fields are those of ``Machine``."""

    fault: str = ""
    packages: tuple[str, ...] = ()
    prompters: Mapping[str, Problem] = field(default_factory=dict)
    segmenters: Mapping[str, Problem] = field(default_factory=dict)
    hub_cache: str = ""


def look_at_machine(settings: Settings, experiments: Iterable[Experiment]) -> Machine:
    """What the machine has of what the experiments need. The worker's interpreter is started once."""
    experiments = list(experiments)
    datasets = sorted({experiment.dataset for experiment in experiments})
    labelled = list_partitions(settings.lake, PSEUDO_LABELS)
    answer = _ask_worker(settings, experiments)
    return Machine(
        worker_fault=answer.fault,
        missing_packages=answer.packages,
        prompters=answer.prompters,
        segmenters=answer.segmenters,
        hub_cache=answer.hub_cache,
        gpus=tuple(_gpus()),
        memory=psutil.virtual_memory().total / GIGABYTE,
        free_disk=_free_disk(settings.runs),
        samples={dataset: _samples(settings, dataset) for dataset in datasets},
        folders=tuple(dataset for dataset in datasets if _is_found(settings, dataset)),
        labels=tuple((each["method"], each["dataset"]) for each in labelled if each["split"] == "train"),
    )


def needed_packages(experiment: Experiment) -> list[str]:
    """The packages beyond the required ones that the settings of an experiment need."""
    optional = {
        "deepspeed": experiment.compute.zero > 0,
        "vllm": experiment.compute.rollouts == "vllm",
        "xgrammar": experiment.generation.constrained,
        experiment.watch.report_to: bool(experiment.watch.report_to),
    }
    return [name for name, needed in optional.items() if needed]


def _ask_worker(settings: Settings, experiments: list[Experiment]) -> WorkerAnswer:
    """The answer of the worker's interpreter, or why there is none."""
    python = settings.worker_python
    if not python.exists():
        return WorkerAnswer(f"There is no worker interpreter at {python}")
    asked = {
        "packages": sorted({name for experiment in experiments for name in needed_packages(experiment)}),
        "prompters": sorted({experiment.prompter for experiment in experiments}),
        "segmenters": sorted({experiment.segmenter for experiment in experiments}),
    }
    command = [str(python), "-m", "t2s_pipeline.training.readiness"]
    try:
        done = subprocess.run(
            command, cwd=REPO, input=json.dumps(asked), capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        answer = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        return WorkerAnswer(f"The worker interpreter {python} cannot run this package ({last})")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return WorkerAnswer(f"The worker interpreter {python} does not work ({error})")
    problems = {
        kind: {name: Problem(**problem) for name, problem in answer[kind].items()}
        for kind in ("prompters", "segmenters")
    }
    return WorkerAnswer("", tuple(answer["packages"]), hub_cache=answer["hub_cache"], **problems)


def _samples(settings: Settings, dataset: str) -> int | None:
    try:
        rows = read_partition(settings.lake, SAMPLES, {"dataset": dataset, "split": "train"}, ["questions"])
    except NotMaterializedError:
        return None
    return pc.sum(pc.greater(pc.list_value_length(rows["questions"]), 0)).as_py() or 0


def _is_found(settings: Settings, dataset: str) -> bool:
    try:
        find_dataset(settings, dataset)
    except InputError:
        return False
    return True


def _gpus() -> list[float]:
    """Memory of each NVIDIA device of this machine, in GB (10⁹ bytes); empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True)
    return [int(line) * 2**20 / GIGABYTE for line in answer.stdout.split()] if answer.returncode == 0 else []


def _free_disk(folder: Path) -> float:
    """Free space where the folder is or will be, in GB (10⁹ bytes)."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free / GIGABYTE
