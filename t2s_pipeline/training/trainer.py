"""TRL's GRPO trainer with the paper's settings, and what it tells about each step.  [torch]

Three things differ from TRL as it comes:

- the settings: loss ``grpo`` (mean over a sequence's tokens, then over sequences) instead of ``dapo``, and the
  plain k3 estimate of the KL instead of the ratio-weighted one, as in equation 2 of the paper;
- a completion with any part of its reward missing (a failure of ours) is left out altogether. TRL would add up
  the parts that are there and so call it worse than its group;
- the clock is read around drawing completions and around rewarding them.
"""

import math
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from trl import GRPOConfig, GRPOTrainer

from t2s_pipeline.training.config import GRPOSettings


@dataclass
class BatchStats:
    """What one batch of completions earned, over all ranks, and how long that took."""

    reward: float | None = None
    reward_std: float | None = None
    parts: dict[str, float] | None = None
    zero_variance_share: float | None = None
    abstained: int = 0
    generate_seconds: float = 0.0
    reward_seconds: float = 0.0


class MaskGRPOTrainer(GRPOTrainer):
    """``GRPOTrainer`` that keeps the last batch's ``stats`` and leaves out completions it could not judge."""

    def __init__(self, *args, **kwargs) -> None:
        self.stats = BatchStats()
        super().__init__(*args, **kwargs)

    def _generate_single_turn(self, *args, **kwargs):
        began = time.perf_counter()
        drawn = super()._generate_single_turn(*args, **kwargs)
        self.stats = BatchStats(generate_seconds=time.perf_counter() - began)
        return drawn

    def _calculate_rewards(self, *args, **kwargs) -> torch.Tensor:
        """Rewards (completions of all ranks, parts); a row is NaN throughout if any part of it abstained."""
        began = time.perf_counter()
        rewards = super()._calculate_rewards(*args, **kwargs)
        missing = rewards.isnan().any(dim=1)
        rewards[missing] = torch.nan
        weights = self.reward_weights.cpu().numpy()
        summary = summarize(rewards.cpu().numpy(), weights, self.reward_func_names, self.num_generations)
        summary.generate_seconds = self.stats.generate_seconds
        summary.reward_seconds = time.perf_counter() - began
        self.stats = summary
        return rewards


def summarize(rewards: np.ndarray, weights: Sequence[float], names: Sequence[str], group_size: int) -> BatchStats:
    """A batch in a few numbers, completions that abstained left out.

    Args:
        rewards: (groups × ``group_size``, parts), unweighted; a row of NaN abstained.
        weights: of the parts.
        names: of the parts.
    """
    missing = np.isnan(rewards).any(axis=1)
    totals = np.where(missing, np.nan, rewards @ np.asarray(weights))
    judged = totals[~missing]
    if judged.size == 0:
        return BatchStats(parts={}, abstained=int(missing.sum()))
    groups = [group[~np.isnan(group)] for group in totals.reshape(-1, group_size)]
    deviations = [float(group.std(ddof=1)) if group.size > 1 else 0.0 for group in groups if group.size]
    return BatchStats(
        reward=float(judged.mean()),
        reward_std=float(np.mean(deviations)),
        parts={name: float(column) for name, column in zip(names, rewards[~missing].mean(axis=0), strict=True)},
        zero_variance_share=float(np.mean([math.isclose(value, 0.0, abs_tol=1e-8) for value in deviations])),
        abstained=int(missing.sum()),
    )


def grpo_config(
    settings: GRPOSettings, weights: Sequence[float], steps: int, seed: int, output: Path, device: str
) -> GRPOConfig:
    """TRL's arguments for our settings. ``output`` receives unfinished checkpoints."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    per_rank = settings.completions_per_step // ranks
    per_pass = min(settings.completions_per_pass or per_rank, per_rank)
    return GRPOConfig(
        output_dir=str(output),
        max_steps=steps,
        num_generations=settings.group_size,
        per_device_train_batch_size=per_pass,
        gradient_accumulation_steps=per_rank // per_pass,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=0.0,
        max_grad_norm=settings.max_grad_norm,
        beta=settings.beta,
        epsilon=settings.epsilon,
        num_iterations=1,
        loss_type="grpo",
        scale_rewards="group",
        use_bias_correction_kl=False,
        reward_weights=list(weights),
        bf16=settings.precision == "bfloat16",
        gradient_checkpointing=settings.gradient_checkpointing,
        use_cpu=device == "cpu",
        # The order is drawn beforehand (dataset.draw_order).
        shuffle_dataset=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=device != "cpu",
        seed=seed,
        save_strategy="steps",
        save_steps=settings.checkpoint_every,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
        log_multimodal=False,
    )


def peak_megabytes(device: str) -> float:
    """The most memory used so far: the device's where there is one, else this process's resident memory."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
