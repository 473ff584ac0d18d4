"""What this machine lacks for an experiment, each with the command that comes next."""

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTERS
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import EMBEDDED
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.checkpoints import complete
from t2s_pipeline.training.estimate import Memory
from t2s_pipeline.training.machine import Machine, Problem, needed_packages
from t2s_pipeline.training.presets import PRESETS


@dataclass(frozen=True)
class Shortage:
    """Something that a training lacks on this machine.

    Attributes:
        sentence: what is missing; equal for all experiments that lack the same thing.
        command: what to type next.
        detail: numbers of this experiment; empty if there are none.
        blocks: False for a warning: the training can run without it.
    """

    sentence: str
    command: str
    detail: str = ""
    blocks: bool = True


def shortages(
    experiment: Experiment,
    machine: Machine,
    settings: Settings,
    needed: Memory | None,
    steps: int | None,
    checkpoint_gb: float | None,
) -> Iterator[Shortage]:
    """What the machine lacks for an experiment.

    Args:
        experiment: the settings of the run.
        machine: what the machine has.
        settings: where T2S_HOME and the worker's interpreter are.
        needed: memory per GPU; None if the sizes of the model are not known.
        steps: of the whole run; None if they are not known.
        checkpoint_gb: disk space of one checkpoint; None if the sizes of the model are not known.
    """
    if machine.worker_fault:
        yield Shortage(machine.worker_fault, "make setup")
    yield from _packages(experiment, machine, settings.worker_python)
    yield from _models(experiment, machine, settings.worker_python)
    yield from _data(experiment, machine)
    if experiment.prompter not in EMBEDDED_PROMPTERS:
        yield from _devices(experiment, machine, needed)
    yield from _disk(experiment, machine, settings, steps, checkpoint_gb)
    if checkpoint_gb is None and experiment.prompter not in machine.prompters and not machine.worker_fault:
        command = f"t2s plan {experiment.run} --set prompter=FOLDER"
        yield Shortage("The sizes of the prompter are unknown, so there is no estimate", command, blocks=False)


def _packages(experiment: Experiment, machine: Machine, python: Path) -> Iterator[Shortage]:
    for name in needed_packages(experiment):
        if name in machine.missing_packages:
            install = f"uv pip install --python {_shown(python)} {name}"
            yield Shortage(f"The worker's environment has no {name}", install)


def _models(experiment: Experiment, machine: Machine, python: Path) -> Iterator[Shortage]:
    for key, name, problems in (
        ("prompter", experiment.prompter, machine.prompters),
        ("segmenter", experiment.segmenter, machine.segmenters),
    ):
        if name in problems:
            # What nothing fetches is somewhere on a disk, and gets a name.
            add = f"t2s models add {name.partition('@')[0]} {'FOLDER' if key == 'prompter' else 'FILE'}"
            yield Shortage(problems[name].sentence, _fetch(problems[name], python) or add)


def _fetch(problem: Problem, python: Path) -> str:
    """The command that downloads a model, with the program ``hf`` of the worker's environment."""
    if not problem.command.startswith("hf "):
        return problem.command
    return f"{_shown(python.parent / 'hf')} {problem.command.removeprefix('hf ')}"


def _shown(path: Path) -> str:
    """A path for a command line: relative to the current folder if it lies below it."""
    below = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if below else path))


def _data(experiment: Experiment, machine: Machine) -> Iterator[Shortage]:
    dataset, labels = experiment.dataset, experiment.recipe.labels
    if machine.samples[dataset] is None:
        command = f"t2s ingest {dataset}" + ("" if dataset in machine.folders else " --root FOLDER")
        if dataset == EMBEDDED:
            command = "t2s demo"
        yield Shortage(f"The training split of {dataset} is not in the lake", command)
    if labels and (labels, dataset) not in machine.labels:
        sentence = f"The training split of {dataset} has no pseudo-labels of {labels}"
        yield Shortage(sentence, f"t2s label {labels} --dataset {dataset} --split train")


def _devices(experiment: Experiment, machine: Machine, needed: Memory | None) -> Iterator[Shortage]:
    """What lacks of the GPUs that the ranks need, in number or in estimated memory."""
    present, required = machine.gpus, experiment.compute.processes
    peak = None if needed is None else needed.peak
    amount = "" if peak is None else f"about {peak:.0f} GB per GPU, or of the machine's memory"
    if not present:
        fits = peak is None or peak * required <= machine.memory
        if fits and experiment.compute.rollouts == "transformers":
            yield Shortage(
                "There is no GPU: training on the CPU works, and takes many times longer",
                f"t2s train {experiment.run}",
                amount,
                blocks=False,
            )
            return
        reason = "" if fits else f", and the {machine.memory:.0f} GB of this machine's memory are not enough"
        yield Shortage(f"There is no GPU{reason}", _with_preset(experiment, machine), amount)
    elif len(present) < required:
        count = f"{required} GPUs are needed; this machine has {len(present)}"
        yield Shortage(count, _with_preset(experiment, machine), amount)
    elif peak is not None and min(present[:required]) < peak:
        smallest = f"The smallest GPU of this machine has {min(present[:required]):.0f} GB, which is not enough"
        yield Shortage(smallest, _with_preset(experiment, machine), amount)


def _with_preset(experiment: Experiment, machine: Machine) -> str:
    """The plan with the largest preset that the GPUs fit, or with the smallest one."""
    fitting = [
        preset
        for preset in PRESETS.values()
        if preset.gpus <= len(machine.gpus) and preset.memory <= min(machine.gpus) * 1.01
    ]
    chosen = max(fitting, key=lambda preset: preset.gpus * preset.memory, default=next(iter(PRESETS.values())))
    return f"t2s plan {experiment.run} --preset {chosen.name}"


def _disk(
    experiment: Experiment, machine: Machine, settings: Settings, steps: int | None, checkpoint_gb: float | None
) -> Iterator[Shortage]:
    """The disk space that the checkpoints will take, if there is less."""
    if steps is None or checkpoint_gb is None:
        return
    every, watch = experiment.grpo.checkpoint_every, experiment.watch
    count = math.ceil(steps / every)
    if watch.keep_last:
        # One more while a new one is written, before an old one is removed.
        count = min(count, watch.keep_last + watch.keep_best + 1)
    count -= min(count, len(complete(settings.runs / experiment.run)))
    if count * checkpoint_gb <= machine.free_disk:
        return
    detail = (
        f"{count} checkpoint{'' if count == 1 else 's'} of {checkpoint_gb:.2g} GB take {count * checkpoint_gb:.0f} GB"
    )
    fewer = f"t2s plan {experiment.run} --set watch.keep_last=1 --set watch.keep_best=0"
    command = fewer if 2 * checkpoint_gb <= machine.free_disk else f"T2S_HOME=FOLDER t2s plan {experiment.run}"
    free = f"The disk of {settings.home} has {machine.free_disk:.0f} GB free, too little for the checkpoints"
    yield Shortage(free, command, detail)
