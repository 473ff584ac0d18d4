"""How the settings of a measured system differ from those of a published row, in phrases for a table's note."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from t2s_pipeline.core.overrides import flat
from t2s_pipeline.datasets.registry import published_samples
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.steps.model_identity import recorded_prompter, recorded_segmenter, same_prompter

FREE = frozenset({"name", "seed", "compute", "watch", "generation"})
"""Settings of a training that may differ from the published row's: the seed and the machines it ran on, and what no
weight depends on. Those of generation are compared as they were used, in the evaluation."""
FREE_IN_GRPO = frozenset({"steps", "epochs", "completions_per_pass", "gradient_checkpointing", "checkpoint_every"})
"""The same within ``grpo``. Steps and passes are compared as the number of steps that were trained."""
FREE_IN_GENERATION = frozenset({"batch_size", "backend"})


def training_differences(used: Experiment, expected: Experiment, steps: int | None) -> Iterator[str]:
    """How a training differs.

    Args:
        used: the settings of the run.
        expected: the settings of the row.
        steps: of the finished run; None if it is not finished.
    """
    yield from _model_differences(used, expected)
    theirs = _compared(expected)
    for key, value in _compared(used).items():
        if value != theirs[key]:
            yield f"{key} {value!s} instead of {theirs[key]!s}"
    samples = published_samples(expected.dataset, "train")
    total = None if samples is None and expected.grpo.steps is None else expected.grpo.total_steps(samples or 0)
    if steps is None:
        yield "the run is not finished"
    elif total is not None and steps != total:
        yield f"{steps:,} step{'' if steps == 1 else 's'} instead of {total:,}"


def answering_differences(
    answered: Mapping[str, Any], expected: Experiment, weights: str | None = None, own_instruction: bool = False
) -> Iterator[str]:
    """How the models and settings of an evaluation differ.

    Args:
        answered: a row of ``answer_settings``.
        expected: the settings of the row.
        weights: the SHA-256 of the trained weights; None for a system that answers with the prompter of ``expected``.
        own_instruction: True for a prompter that was trained on another instruction than ours.
    """
    settings = json.loads(answered["settings"])
    if weights is None and not same_prompter(answered["prompter"], expected.prompter):
        yield f"prompter {answered['prompter']} instead of {expected.prompter}"
    if weights is not None and settings["prompter_sha256"] != weights:
        yield "answered with other weights than those of its checkpoint"
    if answered["segmenter"] != recorded_segmenter(expected.segmenter):
        yield f"answered with the segmenter {answered['segmenter']} instead of {expected.segmenter}"
    if own_instruction and settings["template"] is None:
        yield "asked with our instruction and not with the one that it was trained on (--template)"
    if not own_instruction and settings["template"] is not None:
        yield "asked with another instruction than ours (--template)"
    used, theirs = Recipe.from_json(settings["recipe"]), expected.recipe
    for key in ("combination", "coordinates", "instruction", "resampling", "inference"):
        if getattr(used, key) != getattr(theirs, key):
            yield f"answered with recipe.{key} {getattr(used, key)} instead of {getattr(theirs, key)}"
    for key, value in asdict(expected.generation).items():
        if key not in FREE_IN_GENERATION and settings["generation"][key] != value:
            yield f"generation.{key} {settings['generation'][key]} instead of {value}"


def _model_differences(used: Experiment, expected: Experiment) -> Iterator[str]:
    prompter = recorded_prompter(used.prompter)
    if not same_prompter(prompter, expected.prompter):
        yield f"prompter {prompter} instead of {expected.prompter}"
    segmenter = recorded_segmenter(used.segmenter)
    if segmenter != recorded_segmenter(expected.segmenter):
        yield f"segmenter {segmenter} instead of {expected.segmenter}"


def _compared(experiment: Experiment) -> dict[str, Any]:
    """Every compared setting by its dotted key, without the two models."""
    settings = {key: value for key, value in experiment.as_json().items() if key not in FREE}
    del settings["prompter"], settings["segmenter"]
    settings["grpo"] = {key: value for key, value in settings["grpo"].items() if key not in FREE_IN_GRPO}
    return flat(settings)
