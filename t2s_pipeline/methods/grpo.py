"""The settings of GRPO. The defaults are the paper's; what came later is off by default."""

import math
from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.checked_settings import check_types, require

PRECISIONS = ("float32", "bfloat16")
SCHEDULES = ("linear", "constant")
LOSSES = ("sequence", "token")


@dataclass(frozen=True)
class GRPOSettings:
    """How long and how hard to train. The defaults are the paper's (Section 4, "Implementation details")."""

    steps: int | None = None
    """Optimizer steps; exactly one of ``steps`` and ``epochs`` is given."""
    epochs: float | None = None
    """Passes over the training samples. A pass asks one question per sample."""
    prompts_per_step: int = 4
    """(Image, question) pairs of one optimizer step, over all devices."""
    group_size: int = 16
    """G: completions that are sampled per pair."""
    completions_per_pass: int = 0
    """Completions in one forward and backward pass on one device; 0 takes all of the step's at once."""
    learning_rate: float = 1e-6
    """Of AdamW."""
    schedule: str = "linear"
    """The learning rate after the warm-up: linear (falls to 0) or constant."""
    warmup_steps: int = 0
    """Steps in which the learning rate rises from 0."""
    warmup_share: float = 0.0
    """The warm-up as a share of the run, where ``warmup_steps`` is 0."""
    weight_decay: float = 0.0
    """Of AdamW."""
    entropy_weight: float = 0.0
    """Weight of the bonus for the entropy of each predicted token."""
    beta: float = 1e-3
    """Weight of the k3 estimate of KL(policy ‖ base)."""
    epsilon: float = 0.2
    """Clip range of the probability ratio."""
    epsilon_high: float = 0.0
    """Upper clip range, if it is not that of epsilon; 0: as epsilon. DAPO takes 0.28 ("clip higher")."""
    loss: str = "sequence"
    """How tokens count: ``sequence`` (mean over the tokens of a completion, then over completions, as in the paper) or
    ``token`` (mean over all tokens of the step, as in DAPO)."""
    length_budget: int = 0
    """Tokens of an answer to an easy question, beyond which its reward falls; hard questions have more
    (``rewards.length``, after PixelThink, whose value is 96). 0: no budget."""
    temperature: float = 1.0
    """At which completions are sampled."""
    max_new_tokens: int = 1024
    """Tokens after which a completion is cut off."""
    max_grad_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""
    precision: str = "bfloat16"
    """Of the arithmetic: float32 or bfloat16."""
    gradient_checkpointing: bool = True
    """Compute activations a second time in the backward pass, which saves memory."""
    lora_rank: int = 0
    """Train low-rank adapters of this rank on the language model's linear layers; 0 trains the whole model."""
    lora_alpha: int = 32
    """Adapters count with the weight alpha / rank."""
    checkpoint_every: int = 100
    """Steps between checkpoints; the last step always makes one."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise InputError("Give a run either grpo.steps or grpo.epochs.")
        check_types(self, "grpo.")
        for name in ("steps", "epochs", "prompts_per_step", "learning_rate", "temperature", "max_new_tokens"):
            require(getattr(self, name) is None or getattr(self, name) > 0, f"grpo.{name} must be above 0")
        require(self.group_size >= 2, "grpo.group_size must be at least 2: an advantage compares completions")
        require(self.checkpoint_every >= 1, "grpo.checkpoint_every must be at least 1")
        for name in (
            "beta",
            "warmup_steps",
            "warmup_share",
            "weight_decay",
            "entropy_weight",
            "max_grad_norm",
            "completions_per_pass",
            "lora_rank",
            "epsilon_high",
            "length_budget",
        ):
            require(getattr(self, name) >= 0, f"grpo.{name} must not be negative")
        require(0 < self.epsilon < 1, "grpo.epsilon must lie between 0 and 1")
        require(self.epsilon_high < 1, "grpo.epsilon_high must be below 1")
        require(self.loss in LOSSES, f"grpo.loss must be one of {', '.join(LOSSES)}")
        require(self.warmup_share < 1, "grpo.warmup_share must be below 1")
        require(self.schedule in SCHEDULES, f"grpo.schedule must be one of {', '.join(SCHEDULES)}")
        require(self.precision in PRECISIONS, f"grpo.precision must be one of {', '.join(PRECISIONS)}")
        per_pass, per_step = self.completions_per_pass, self.completions_per_step
        require(
            per_pass == 0 or per_step % per_pass == 0,
            f"grpo.completions_per_pass {per_pass} must divide the {per_step} completions of a step",
        )

    @property
    def completions_per_step(self) -> int:
        """The completions of one optimizer step, over all devices."""
        return self.prompts_per_step * self.group_size

    def total_steps(self, samples: int) -> int:
        """Optimizer steps for a training split of so many samples; an unfinished last step is dropped."""
        if self.steps is not None:
            return self.steps
        # One of the two is always given, see __post_init__.
        epochs = self.epochs or 0.0
        return max(1, math.floor(samples * epochs / self.prompts_per_step))
