"""Export a checkpoint as a folder that plain transformers can load: weights, processor, model card."""

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
from t2s_pipeline.training.model_card import TrainingData, card, metrics

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""The types that exported weights can have."""


def export(home: Path, name: str, target: Path, dtype: str = "bfloat16", merge: bool = True) -> Checkpoint:
    """Write a checkpoint to a folder and return it. After a failure there is no partly written folder.

    Args:
        home: T2S_HOME.
        name: ``<run>`` for its last checkpoint, or ``<run>@<step>``.
        target: the folder to write; it must be new or empty.
        dtype: of the written weights, a key of ``DTYPES``.
        merge: True to add adapters to the weights of the base; False to write only the adapters, for peft.

    Raises:
        NotMaterializedError: if there is no such checkpoint.
        InputError: if ``target`` exists and is not an empty folder.
    """
    checkpoint = find(home, name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} already exists. Give a new or an empty folder.")
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
        NotMaterializedError: if there is none.
    """
    run, _, step = name.partition("@")
    complete = checkpoints.complete(home / "runs" / run)
    matching = [checkpoint for checkpoint in complete if not step or str(checkpoint.step) == step]
    if not matching:
        steps = ", ".join(str(checkpoint.step) for checkpoint in complete)
        hint = f"The run has checkpoints of these steps: {steps}" if steps else "The run has none: train it first"
        raise NotMaterializedError(f"There is no complete checkpoint {name} in {home / 'runs'}. {hint}.")
    return matching[-1]


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
    scores = metrics(lake, checkpoint.name)
    form = "These are low-rank adapters: load them onto the base with peft." if adapters else "This is the whole model."
    text = card(checkpoint, TrainingData.read(lake, experiment.dataset), scores, weights_sha256(target), form)
    (target / "README.md").write_text(text)
    (target / "experiment.json").write_text(json.dumps(checkpoint.experiment, indent=1, sort_keys=True) + "\n")
    (target / "metrics.json").write_text(json.dumps(scores, indent=1) + "\n")
