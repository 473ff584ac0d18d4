"""Think2Seg-RS: the mask itself is the reward. Box and points in one call of the segmenter, single-mask output."""

from collections.abc import Iterator
from dataclasses import replace

from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.grpo import GRPOSettings
from t2s_pipeline.methods.method import Method
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.shared_settings import FULL_SIZE_GENERATION, FULL_SIZE_WATCH, embedded_experiment
from t2s_pipeline.methods.studies import studies
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompting.combinations import TABLE_6

PROMPTERS_OF_TABLE_4 = ("internvl3-2b", "internvl3-8b", "llava-1.5-7b")
QWEN3_VL = ("qwen3-vl-2b", "qwen3-vl-4b", "qwen3-vl-8b")
"""A newer family, which the paper does not have: trained and untrained like the prompters of Table 4."""
SEGMENTERS_OF_TABLE_5 = ("sam2.1-tiny", "sam2.1-base-plus", "sam2.1-large")

_EMBEDDED = embedded_experiment("think2seg-mini", Recipe())

# Table 1. The authors' runs: 3B with 4 prompts per step for 5 epochs; 7B with 8 prompts of 12 completions for 8 epochs.
_SMALL = Experiment(
    name="think2seg-rs-3b",
    prompter="Qwen/Qwen2.5-VL-3B-Instruct",
    segmenter="sam2.1-small",
    dataset="earthreason",
    grpo=GRPOSettings(epochs=5, prompts_per_step=4, group_size=16, completions_per_pass=8),
    recipe=Recipe(),
    generation=FULL_SIZE_GENERATION,
    watch=FULL_SIZE_WATCH,
)
_LARGE = replace(
    _SMALL,
    name="think2seg-rs-7b",
    prompter="Qwen/Qwen2.5-VL-7B-Instruct",
    grpo=GRPOSettings(epochs=8, prompts_per_step=8, group_size=12, completions_per_pass=8),
)


# What the authors' scripts for the other prompters of Table 4 change. InternVL3-2B is trained as the 3B model.
_SHORT_ANSWERS = GenerationSettings(max_new_tokens=1024)
_CHANGED = {
    "internvl3-2b": replace(_SMALL, generation=_SHORT_ANSWERS),
    "internvl3-8b": replace(_SMALL, grpo=replace(_LARGE.grpo, group_size=10), generation=_SHORT_ANSWERS),
    "llava-1.5-7b": replace(_SMALL, grpo=_LARGE.grpo),
}
_OTHER_PROMPTERS = {
    prompter: replace(_CHANGED.get(prompter, _SMALL), name=f"think2seg-rs-{prompter}", prompter=prompter)
    for prompter in (*PROMPTERS_OF_TABLE_4, *QWEN3_VL)
}


def _ablations(base: Experiment) -> Iterator[Experiment]:
    """The rows of Tables 5 and 6: ``base`` with one setting changed. Table 3 is the trained models on other data."""
    for segmenter in SEGMENTERS_OF_TABLE_5:
        yield replace(base, name=f"{base.name}-{segmenter}", segmenter=segmenter)
    for combination in TABLE_6:
        if combination != base.recipe.combination:
            recipe = replace(base.recipe, combination=combination)
            yield replace(base, name=f"{base.name}-{combination}", recipe=recipe)


THINK2SEG = Method(
    name="think2seg",
    title="Think2Seg-RS",
    recipe=Recipe(),
    embedded=_EMBEDDED,
    full_size=(_SMALL, _LARGE, *_OTHER_PROMPTERS.values(), *_ablations(_SMALL)),
    studies=tuple(studies(_EMBEDDED, _SMALL)),
    zero_shot={
        "zero-shot-mini": _EMBEDDED,
        "zero-shot-qwen2.5-vl-3b": _SMALL,
        "zero-shot-qwen2.5-vl-7b": _LARGE,
        **{f"zero-shot-{prompter}": experiment for prompter, experiment in _OTHER_PROMPTERS.items()},
    },
    released={
        "released-think2seg-rs-3b": replace(_SMALL, prompter="RicardoString/Think2Seg-RS-3B"),
        "released-think2seg-rs-7b": replace(_LARGE, prompter="RicardoString/Think2Seg-RS-7B"),
    },
)
