"""Settings that the experiments of all methods share, so that the methods are compared under equal conditions."""

from dataclasses import replace

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_SEGMENTER
from t2s_pipeline.methods.compute import Watch
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.grpo import GRPOSettings
from t2s_pipeline.methods.recipe import AS_BEFORE, Recipe
from t2s_pipeline.prompters.base import GenerationSettings

EMBEDDED_DATASET = "synthetic"

EMBEDDED_GRPO = GRPOSettings(
    steps=60,
    learning_rate=1e-4,
    max_new_tokens=160,
    precision="float32",
    gradient_checkpointing=False,
    checkpoint_every=20,
)

FULL_SIZE_GENERATION = GenerationSettings(max_new_tokens=2048)
"""The authors' evaluation, and that of the three rivals, stops an answer after so many tokens (InternVL3 at 1,024)."""

FULL_SIZE_WATCH = Watch(sample_every=50, keep_last=3, keep_best=1)
"""A full-size checkpoint takes tens of gigabytes, so not all of them are kept."""


def embedded_experiment(name: str, recipe: Recipe, grpo: GRPOSettings = EMBEDDED_GRPO) -> Experiment:
    """A method on the embedded default.

    The base, the segmenter, the scenes and the number of completions per step are the same for all methods. The base
    is asked as it was taught, whatever the recipe says.
    """
    return Experiment(
        name=name,
        prompter=EMBEDDED_PROMPTER,
        segmenter=EMBEDDED_SEGMENTER,
        dataset=EMBEDDED_DATASET,
        grpo=grpo,
        recipe=replace(recipe, instruction=AS_BEFORE["instruction"], resampling=AS_BEFORE["resampling"]),
        generation=GenerationSettings(max_new_tokens=EMBEDDED_GRPO.max_new_tokens),
    )
