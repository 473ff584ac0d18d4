"""Export a checkpoint as a folder that plain transformers can load: weights, processor, model card."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.outside_files import outside_object
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.families import published_model
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.checkpoints import ANSWERS_AS, EXPORTED, Checkpoint
from t2s_pipeline.training.model_card import TrainingData, card, metrics
from t2s_pipeline.training.model_names import without_paths

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
    shutil.copy2(source / "adapter_model.safetensors", target / "adapter_model.safetensors")
    content = outside_object(source / "adapter_config.json")
    # peft takes a Hub id here, and on this machine our own commands take it too.
    published = published_model(content["base_model_name_or_path"])
    base = published.hub_id if published else content["base_model_name_or_path"]
    (target / "adapter_config.json").write_text(
        json.dumps({**content, "base_model_name_or_path": base}, indent=2, sort_keys=True), "utf-8"
    )
    load_prompter(str(source)).processor.save_pretrained(target)


def _describe(home: Path, checkpoint: Checkpoint, target: Path, adapters: bool) -> None:
    experiment, lake = without_paths(Experiment.from_json(checkpoint.experiment)), Settings.of_worker(home).lake
    scores = metrics(lake, checkpoint.name)
    form = "These are low-rank adapters: load them onto the base with peft." if adapters else "This is the whole model."
    text = card(
        replace(checkpoint, experiment=experiment.as_json()),
        TrainingData.read(lake, experiment.dataset),
        scores,
        weights_sha256(target),
        form,
    )
    (target / "README.md").write_text(text)
    (target / EXPORTED).write_text(json.dumps(experiment.as_json(), indent=1, sort_keys=True) + "\n")
    (target / ANSWERS_AS).write_text(json.dumps({"step": checkpoint.step}) + "\n")
    (target / "metrics.json").write_text(json.dumps(scores, indent=1) + "\n")
