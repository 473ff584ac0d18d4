"""RemoteReasoner: a box for each connected region of the mask; each box is fed with its centre."""

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
        name="remote-reasoner",
        parts={"matched_iou": 1.0, "count": 1.0, "format": 1.0},
        needs_labels=True,
        combination="remote-reasoner",
    )
)

_RECIPE = Recipe(
    combination="remote-reasoner",
    reward="remote-reasoner",
    labels="remote-reasoner",
    repair=False,
    inference=Inference(box_centre=True),
)

# Table 1. Their script: 24 epochs; 8 completions per device, 8 accumulated passes and 8 devices. This makes 512
# completions per step, which are 128 prompts of 4.
_FULL_SIZE = Experiment(
    name="remote-reasoner",
    prompter="Qwen/Qwen2.5-VL-7B-Instruct",
    segmenter="sam2.1-tiny",
    dataset="earthreason",
    grpo=GRPOSettings(
        epochs=24,
        prompts_per_step=128,
        group_size=4,
        completions_per_pass=8,
        temperature=0.9,
        warmup_share=0.05,
        lora_rank=8,
        lora_alpha=16,
    ),
    recipe=_RECIPE,
    generation=FULL_SIZE_GENERATION,
    watch=FULL_SIZE_WATCH,
)

REMOTE_REASONER = Method(
    name="remote-reasoner",
    title="RemoteReasoner",
    recipe=_RECIPE,
    # Its own group size and temperature; 64 completions per step, as for every method. 50 steps: see seg_zero.py.
    embedded=embedded_experiment(
        "remote-reasoner-mini",
        _RECIPE,
        replace(EMBEDDED_GRPO, steps=50, prompts_per_step=16, group_size=4, temperature=0.9),
    ),
    full_size=(_FULL_SIZE,),
    released={
        "released-remote-reasoner-7b": replace(
            _FULL_SIZE, prompter="1e12Leon/RemoteReasoner", recipe=replace(_RECIPE, resampling="bicubic")
        ),
    },
)
