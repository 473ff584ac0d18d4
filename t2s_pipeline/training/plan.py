"""What a training run will do and take, and what this machine lacks for it, before it is started."""

from dataclasses import dataclass

import pyarrow.compute as pc

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTERS
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import published_samples
from t2s_pipeline.lake.schema import TRAINING_LOG
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.architecture import Architecture, architecture
from t2s_pipeline.training.estimate import DEVICES, Device, Memory, StepTime, checkpoint_gigabytes, memory, step_time
from t2s_pipeline.training.machine import Machine, look_at_machine
from t2s_pipeline.training.shortages import Shortage, shortages


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
    steps: int | None
    """Optimizer steps of the whole run."""
    sizes: Architecture | None
    memory: Memory | None
    times: tuple[tuple[Device, StepTime], ...]
    """The estimated time of a step on each GPU that has enough memory."""
    checkpoint_gb: float | None
    """Disk space of one checkpoint, in GB (10⁹ bytes)."""
    earlier: EarlierRun | None
    missing: tuple[Shortage, ...]
    """What this machine lacks, each with the command that comes next. Some are warnings only."""

    @property
    def can_run(self) -> bool:
        """True if nothing is missing that the training needs."""
        return not any(shortage.blocks for shortage in self.missing)


def training_plan(experiment: Experiment, settings: Settings, machine: Machine | None = None) -> TrainingPlan:
    """The plan of an experiment on this machine.

    Args:
        experiment: the settings of the run.
        settings: where T2S_HOME and the worker's interpreter are.
        machine: what this machine has, if it has been looked at already.
    """
    machine = machine or look_at_machine(settings, [experiment])
    counted = machine.samples[experiment.dataset]
    samples = counted if counted is not None else published_samples(experiment.dataset, "train")
    sizes = architecture(experiment.prompter)
    needed = None if sizes is None else memory(experiment, sizes)
    size = None if sizes is None else checkpoint_gigabytes(experiment, sizes)
    steps = total_steps(experiment, samples)
    return TrainingPlan(
        experiment=experiment,
        samples=samples,
        counted=counted is not None,
        steps=steps,
        sizes=sizes,
        memory=needed,
        times=_times(experiment, sizes, needed),
        checkpoint_gb=size,
        earlier=_earlier_run(settings, experiment.run),
        missing=tuple(shortages(experiment, machine, settings, needed, steps, size)),
    )


def total_steps(experiment: Experiment, samples: int | None) -> int | None:
    """Optimizer steps of the whole run; None if the number of samples decides them and is not known."""
    if experiment.grpo.steps is not None:
        return experiment.grpo.steps
    return None if samples is None else experiment.grpo.total_steps(samples)


def _times(
    experiment: Experiment, sizes: Architecture | None, needed: Memory | None
) -> tuple[tuple[Device, StepTime], ...]:
    if sizes is None or needed is None or experiment.prompter in EMBEDDED_PROMPTERS:  # it trains on a CPU
        return ()
    fitting = [device for device in DEVICES if device.memory >= needed.peak]
    return tuple((device, step_time(experiment, sizes, device)) for device in fitting)


def _earlier_run(settings: Settings, run: str) -> EarlierRun | None:
    """The figures of a finished run of this name; None if there is none."""
    if not fingerprint_of(settings.lake, TRAINING_LOG, {"run": run}):
        return None
    rows = read_partition(settings.lake, TRAINING_LOG, {"run": run}, ["seconds", "peak_mb"])
    if rows.num_rows == 0:
        return None
    return EarlierRun(pc.mean(rows["seconds"]).as_py(), pc.max(rows["peak_mb"]).as_py() or 0.0)
