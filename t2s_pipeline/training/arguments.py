"""TRL's arguments for our settings: the paper's objective, which is not TRL's default.  [torch]

The loss is ``grpo`` (mean over a sequence's tokens, then over sequences) and not ``dapo``; the KL term is the plain
k3 estimate of equation 2 and not the ratio-weighted one.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from trl import GRPOConfig

from t2s_pipeline.training.config import GRPOSettings

_SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup"}
"""Our name: transformers'."""


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
        lr_scheduler_type=_SCHEDULES[settings.schedule],
        # A number below 1 is a share of the run.
        warmup_steps=settings.warmup_steps or settings.warmup_share,
        weight_decay=settings.weight_decay,
        entropy_coef=settings.entropy_weight,
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
