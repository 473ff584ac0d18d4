"""What a machine lacks for a training: each thing that is named is missing, and has a command that comes next."""

import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.schema import PSEUDO_LABELS, SAMPLES
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training.architecture import architecture
from t2s_pipeline.training.estimate import Memory, memory
from t2s_pipeline.training.machine import Machine, Problem, look_at_machine
from t2s_pipeline.training.shortages import Shortage, shortages

SMALL = Memory(weights=1, gradients=1, optimizer=2, reference=1, update=1, generation=1)
FULL = experiment("think2seg-rs-3b")
RIVAL = experiment("remote-reasoner")

MACHINE = Machine(
    worker_fault="",
    missing_packages=(),
    prompters={},
    segmenters={},
    hub_cache="",
    gpus=(151.4,),
    memory=64.0,
    free_disk=1000.0,
    samples={"earthreason": 2371, "synthetic": 3},
    folders=("earthreason",),
    labels=(),
)
"""A machine that lacks nothing for ``FULL``."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "bin" / "python")


def lacks(settings: Settings, chosen=FULL, needed=SMALL, steps=2963, size=45.0, **machine) -> list[Shortage]:
    return list(shortages(chosen, replace(MACHINE, **machine), settings, needed, steps, size))


def test_a_machine_with_everything_lacks_nothing(settings: Settings):
    assert lacks(settings) == []


def test_labels_are_missing_until_they_are_made(settings: Settings):
    (missing,) = lacks(settings, RIVAL)
    assert missing.command == "t2s label remote-reasoner --dataset earthreason --split train"
    assert missing.blocks
    assert lacks(settings, RIVAL, labels=(("remote-reasoner", "earthreason"),)) == []
    assert lacks(settings, RIVAL, labels=(("seg-zero", "earthreason"), ("remote-reasoner", "synthetic"))) != []


def test_the_data_is_read_from_its_folder_or_the_folder_is_asked_for(settings: Settings):
    nowhere = {"samples": {"earthreason": None}}
    assert [each.command for each in lacks(settings, **nowhere)] == ["t2s ingest earthreason"]
    assert [each.command for each in lacks(settings, **nowhere, folders=())] == ["t2s ingest earthreason --root FOLDER"]


def test_models_are_fetched_with_the_workers_own_program(settings: Settings):
    problem = Problem("The local Hub cache lacks x", "hf download owner/x")
    (missing,) = lacks(settings, prompters={FULL.prompter: problem})
    assert missing.command == f"{settings.worker_python.parent}/hf download owner/x"
    (missing,) = lacks(settings, segmenters={FULL.segmenter: Problem("There is no file", "")})
    assert missing.command == "t2s models add sam2.1-small FILE"


def test_without_a_gpu_the_cpu_is_a_warning_where_its_memory_is_enough(settings: Settings):
    (warning,) = lacks(settings, gpus=())
    assert not warning.blocks and "CPU works" in warning.sentence and warning.command == "t2s train think2seg-rs-3b"
    needed = memory(FULL, architecture(FULL.prompter))
    (missing,) = lacks(settings, needed=needed, gpus=())
    assert missing.blocks and "64 GB of this machine's memory are not enough" in missing.sentence
    assert missing.command == "t2s plan think2seg-rs-3b --preset one-24gb"
    with_vllm = FULL.with_overrides(["compute.rollouts=vllm"])
    assert [each.blocks for each in lacks(settings, with_vllm, gpus=())] == [True]


def test_gpus_are_counted_and_measured(settings: Settings):
    needed = memory(FULL, architecture(FULL.prompter))
    (missing,) = lacks(settings, needed=needed, gpus=(85.9,))
    assert "has 86 GB, which is not enough" in missing.sentence
    assert missing.command == "t2s plan think2seg-rs-3b --preset one-80gb"
    four = FULL.with_overrides(["compute.processes=4"])
    assert [each.sentence for each in lacks(settings, four)] == ["4 GPUs are needed; this machine has 1"]


def test_the_checkpoints_that_are_kept_must_fit_the_disk(settings: Settings):
    # 30 checkpoints of 45 GB; a full-size run keeps the last three and the best one, and writes one more.
    assert lacks(settings, free_disk=225.0) == []
    (missing,) = lacks(settings, free_disk=224.0)
    assert missing.detail == "5 checkpoints of 45 GB take 225 GB"
    assert missing.command.endswith("--set watch.keep_last=1 --set watch.keep_best=0")
    everything = FULL.with_overrides(["watch.keep_best=0", "watch.keep_last=0"])
    assert [each.detail for each in lacks(settings, everything)] == ["30 checkpoints of 45 GB take 1350 GB"]
    (missing,) = lacks(settings, free_disk=80.0)
    assert missing.command == "T2S_HOME=FOLDER t2s plan think2seg-rs-3b"
    assert lacks(settings, steps=None, free_disk=0.0) == []


def test_optional_packages_are_missing_only_where_the_settings_need_them(settings: Settings):
    without = {"missing_packages": ("deepspeed", "wandb", "xgrammar")}
    assert lacks(settings, **without) == []
    asked = FULL.with_overrides(["compute.zero=2", "watch.report_to=wandb", "generation.constrained=true"])
    names = [each.command.rpartition(" ")[2] for each in lacks(settings, asked, **without)]
    assert names == ["deepspeed", "xgrammar", "wandb"]


@pytest.fixture
def interpreter(settings: Settings) -> Path:
    """A worker's interpreter that notes each start and is this one."""
    settings.worker_python.parent.mkdir(parents=True)
    starts = settings.worker_python.parent / "starts"
    settings.worker_python.write_text(f'#!/bin/sh\necho start >> "{starts}"\nexec "{sys.executable}" "$@"\n')
    settings.worker_python.chmod(0o755)
    return starts


def test_one_look_at_the_worker_is_enough_for_all_experiments(settings: Settings, interpreter: Path):
    look_at_machine(settings, [FULL, RIVAL, experiment("think2seg-mini"), experiment("think2seg-rs-internvl3-2b")])
    assert interpreter.read_text() == "start\n"


def test_a_broken_worker_is_one_shortage(settings: Settings):
    machine = look_at_machine(settings, [FULL])
    (missing,) = (
        each for each in shortages(FULL, machine, settings, None, None, None) if "interpreter" in each.sentence
    )
    assert missing.command == "make setup"


def test_the_lake_is_looked_at(settings: Settings, interpreter: Path):
    split = {"dataset": "earthreason", "split": "train"}
    rows = [{"sample_id": "a", "questions": ["where?"]}, {"sample_id": "b", "questions": []}]
    write_partition(settings.lake, SAMPLES, split, pa.Table.from_pylist(rows, SAMPLES.schema))
    labels = pa.Table.from_pylist([{"sample_id": "a"}], PSEUDO_LABELS.schema)
    write_partition(settings.lake, PSEUDO_LABELS, {"method": "remote-reasoner", **split}, labels)
    machine = look_at_machine(settings, [RIVAL])
    assert machine.samples == {"earthreason": 1}
    assert machine.labels == (("remote-reasoner", "earthreason"),)
    assert machine.free_disk > 0 and machine.memory > 0
