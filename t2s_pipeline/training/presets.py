"""Presets: changes to an experiment's settings so that it fits the memory of common GPUs.

A preset changes how a run uses the GPUs and, with adapters, which weights are trained. All other settings stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError


@dataclass(frozen=True)
class Preset:
    """Settings for a number of GPUs. ``memory`` is in GB (10⁹ bytes) per GPU, ``overrides`` are as for ``--set``."""

    name: str
    gpus: int
    memory: float
    description: str
    overrides: tuple[str, ...]


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "one-24gb",
            1,
            25.8,
            "adapters of rank 16 on a frozen bfloat16 model, 2 prompts per step",
            ("grpo.lora_rank=16", "grpo.lora_alpha=32", "grpo.prompts_per_step=2", "grpo.completions_per_pass=2"),
        ),
        Preset(
            "one-80gb",
            1,
            85.9,
            "the whole model; ZeRO-2, the optimizer's state in the machine's memory",
            ("compute.zero=2", "compute.offload=true", "grpo.completions_per_pass=4"),
        ),
        Preset(
            "one-141gb",
            1,
            151.4,
            "the whole model with float32 weights, without ZeRO and offloading",
            ("grpo.completions_per_pass=8",),
        ),
        Preset(
            "four-80gb",
            4,
            85.9,
            "the whole model; ZeRO-3, with everything split over four GPUs (the paper's 7B run)",
            ("compute.processes=4", "compute.zero=3", "grpo.completions_per_pass=4"),
        ),
    )
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        InputError: if there is none.
    """
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}. There are: {', '.join(PRESETS)}.")
    return PRESETS[name]


def with_preset(name: str | None, overrides: Sequence[str]) -> list[str]:
    """The overrides of a preset, followed by explicit ones, which take precedence."""
    return [*(preset(name).overrides if name else ()), *overrides]
