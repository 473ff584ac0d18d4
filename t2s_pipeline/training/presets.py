"""What a machine's GPUs can carry, as changes to an experiment's settings. No torch.

A preset decides where a run trains, and with adapters also what is trained; everything else stays the experiment's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError


@dataclass(frozen=True)
class Preset:
    """``overrides`` are those of ``--set``; memory in GB (10⁹ bytes) a GPU."""

    name: str
    gpus: int
    memory: float
    says: str
    overrides: tuple[str, ...]


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "one-24gb",
            1,
            25.8,
            "adapters of rank 16 on a frozen bfloat16 model, 2 prompts a step",
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
            "the whole model with float32 weights, nothing split or moved",
            ("grpo.completions_per_pass=8",),
        ),
        Preset(
            "four-80gb",
            4,
            85.9,
            "the whole model; ZeRO-3, everything split over four (the paper's 7B run)",
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
        raise InputError(f"There is no preset {name!r}; there are {', '.join(PRESETS)}.")
    return PRESETS[name]


def with_preset(name: str | None, overrides: Sequence[str]) -> list[str]:
    """Overrides with a preset's before them, so that what is said explicitly wins."""
    return [*(preset(name).overrides if name else ()), *overrides]
