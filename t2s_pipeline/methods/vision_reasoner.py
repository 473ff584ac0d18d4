"""VisionReasoner: a box and a point for each cluster of the mask, best of three masks per object."""

from dataclasses import replace

from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.grpo import GRPOSettings
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.method import Method
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.reward import REWARDS, Reward
from t2s_pipeline.methods.shared_settings import (
    EMBEDDED_GRPO,
    FULL_SIZE_GENERATION,
    FULL_SIZE_WATCH,
    embedded_experiment,
)

REWARDS.register(
    Reward(
        name="vision-reasoner",
        parts={"tags": 1.0, "answer_format": 2.0, "accuracy": 3.0, "non_repeat": 1.0},
        needs_labels=True,
        combination="vision-reasoner",
    )
)

_RECIPE = Recipe(
    combination="vision-reasoner",
    reward="vision-reasoner",
    labels="vision-reasoner",
    repair=False,
    inference=Inference(multimask=True),
)

# Table 1. Their run has a constant rate, and the weight decay and the entropy bonus of Seg-Zero.
_FULL_SIZE = Experiment(
    name="vision-reasoner",
    prompter="Qwen/Qwen2.5-VL-7B-Instruct",
    segmenter="sam2.1-large",
    dataset="earthreason",
    grpo=GRPOSettings(
        epochs=1,
        prompts_per_step=16,
        group_size=8,
        completions_per_pass=8,
        beta=1e-2,
        entropy_weight=1e-3,
        schedule="constant",
        weight_decay=0.01,
    ),
    recipe=_RECIPE,
    generation=FULL_SIZE_GENERATION,
    watch=FULL_SIZE_WATCH,
)

VISION_REASONER = Method(
    name="vision-reasoner",
    title="VisionReasoner",
    recipe=_RECIPE,
    # Its own KL weight and group size; 64 completions per step, as for every method. 50 steps: see seg_zero.py.
    embedded=embedded_experiment(
        "vision-reasoner-mini",
        _RECIPE,
        replace(EMBEDDED_GRPO, steps=50, prompts_per_step=8, group_size=8, beta=1e-2),
    ),
    full_size=(_FULL_SIZE,),
    released={
        "released-vision-reasoner-7b": replace(
            _FULL_SIZE, prompter="Ricky06662/VisionReasoner-7B", recipe=replace(_RECIPE, resampling="bilinear")
        ),
    },
)
