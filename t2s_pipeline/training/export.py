"""A checkpoint as a folder that plain transformers loads: weights, processor, model card.  [torch]"""

import json
import os
import shutil
from pathlib import Path

import torch

from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.model_card import Data, card, metrics

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def export(home: Path, name: str, target: Path, dtype: str = "bfloat16", merge: bool = True) -> Checkpoint:
    """Write a checkpoint to ``target``, whole or not at all, and return it.

    Args:
        name: ``<run>`` for its last checkpoint, or ``<run>@<step>``.
        dtype: of the weights.
        merge: add adapters to the base's weights; else they alone are written, for peft.

    Raises:
        NotMaterializedError: if there is no such checkpoint.
        InputError: if ``target`` is there already and holds something.
    """
    checkpoint = find(home, name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there already: name an empty or a new folder.")
    adapters = (checkpoint.path / "adapter_config.json").is_file() and not merge
    staged = target.with_name(f".{target.name}.unfinished")
    with disk_room(target):
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            if adapters:
                _copy_adapters(checkpoint.path, staged)
            else:
                _save_model(checkpoint.path, staged, DTYPES[dtype])
            _describe(home, checkpoint, staged, adapters)
            if target.exists():
                target.rmdir()
            os.replace(staged, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return checkpoint


def find(home: Path, name: str) -> Checkpoint:
    """The checkpoint that ``<run>`` or ``<run>@<step>`` names.

    Raises:
        NotMaterializedError: if it is not there.
    """
    run, _, step = name.partition("@")
    found = checkpoints.complete(home / "runs" / run)
    chosen = [checkpoint for checkpoint in found if not step or str(checkpoint.step) == step]
    if not chosen:
        steps = ", ".join(str(checkpoint.step) for checkpoint in found)
        there = f"its checkpoints are of step {steps}" if steps else "it has none: train it first"
        raise NotMaterializedError(f"There is no complete checkpoint {name} in {home / 'runs'}; {there}.")
    return chosen[-1]


def _save_model(source: Path, target: Path, dtype: torch.dtype) -> None:
    prompter = load_prompter(str(source))
    prompter.model.to(dtype).save_pretrained(target)
    prompter.processor.save_pretrained(target)


def _copy_adapters(source: Path, target: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy2(source / name, target / name)
    load_prompter(str(source)).processor.save_pretrained(target)


def _describe(home: Path, checkpoint: Checkpoint, target: Path, adapters: bool) -> None:
    experiment, lake = Experiment.from_json(checkpoint.experiment), home / "lake"
    measured = metrics(lake, checkpoint.name)
    form = "These are low-rank adapters: load them onto the base with peft." if adapters else "This is the whole model."
    told = card(checkpoint, Data.read(lake, experiment.dataset), measured, weights_sha256(target), form)
    (target / "README.md").write_text(told)
    (target / "experiment.json").write_text(json.dumps(checkpoint.experiment, indent=1, sort_keys=True) + "\n")
    (target / "metrics.json").write_text(json.dumps(measured, indent=1) + "\n")
