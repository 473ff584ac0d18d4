"""TRL's arguments for our settings: the objective of the paper, which is not TRL's default.

By default the loss is ``grpo`` (mean over a sequence's tokens, then over sequences), not ``dapo``. The KL term is the
plain k3 estimate of the paper's equation 2, not the ratio-weighted one.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from peft import LoraConfig
from trl.trainer.grpo_config import GRPOConfig

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.compute import Compute
from t2s_pipeline.methods.grpo import GRPOSettings
from t2s_pipeline.training import ranks

_SCHEDULES = {"linear": "linear", "constant": "constant_with_warmup"}
"""Our name of a learning-rate schedule → the name in transformers."""

_LOSSES = {"sequence": "grpo", "token": "dapo"}
"""Our name of how tokens count in the loss → TRL's."""

DEEPSPEED = Path(__file__).parent / "deepspeed"
"""The folder with one DeepSpeed configuration per ZeRO stage."""


def grpo_config(
    settings: GRPOSettings,
    weights: Sequence[float],
    steps: int,
    seed: int,
    output: Path,
    device: str,
    compute: Compute | None = None,
) -> GRPOConfig:
    """TRL's arguments for our settings.

    Args:
        settings: of GRPO.
        weights: of the parts of the reward, in their order.
        steps: optimizer steps of the whole run.
        seed: of the experiment.
        output: the folder for unfinished checkpoints.
        device: ``cpu`` or ``cuda[:n]``, of this rank.
        compute: how the run uses its devices; the default is one process without ZeRO.

    Raises:
        InputError: if a package that the settings need is not installed.
    """
    compute = compute or Compute()
    if compute.rollouts == "vllm":
        require_package("vllm", "compute.rollouts=vllm")
    per_rank = settings.completions_per_step // ranks.count()
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
        # transformers reads a number below 1 as a share of the run.
        warmup_steps=settings.warmup_steps or settings.warmup_share,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        reward_weights=list(weights),
        bf16=settings.precision == "bfloat16",
        gradient_checkpointing=settings.gradient_checkpointing,
        use_cpu=device == "cpu",
        # dataset.prompt_order has decided the order.
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
        **_objective_arguments(settings),
        **_parallel_arguments(device, compute),
    )


def _objective_arguments(settings: GRPOSettings) -> dict[str, Any]:
    """The arguments for the paper's objective, with one update per batch of completions."""
    return {
        "beta": settings.beta,
        "epsilon": settings.epsilon,
        "epsilon_high": settings.epsilon_high or None,
        "entropy_coef": settings.entropy_weight,
        "num_iterations": 1,
        "loss_type": _LOSSES[settings.loss],
        "scale_rewards": "group",
        "use_bias_correction_kl": False,
    }


def _parallel_arguments(device: str, compute: Compute) -> dict[str, Any]:
    """The arguments for several ranks, DeepSpeed and vLLM."""
    several = ranks.count() > 1
    return {
        "ddp_backend": ("gloo" if device == "cpu" else "nccl") if several else None,
        "ddp_find_unused_parameters": False if several else None,
        "ddp_timeout": int(ranks.PATIENCE.total_seconds()),
        "deepspeed": deepspeed_config(compute),
        "use_vllm": compute.rollouts == "vllm",
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": compute.vllm_memory_share,
    }


def lora_config(settings: GRPOSettings) -> LoraConfig | None:
    """Adapters on the attention and feed-forward layers of the language model; None to train the whole model."""
    if settings.lora_rank == 0:
        return None
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules=r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)",
        task_type="CAUSAL_LM",
    )


def deepspeed_config(compute: Compute) -> dict[str, Any] | None:
    """The value for ``TrainingArguments.deepspeed``: the file of the ZeRO stage, changed as the settings say.

    transformers fills in every value that is "auto". The optimizer is the AdamW of transformers, unless the
    optimizer's state is offloaded to the machine's memory: then it is the AdamW that DeepSpeed has for this case.

    Returns:
        None if ``compute.zero`` is 0.
    """
    if compute.zero == 0:
        return None
    config: dict[str, Any] = json.loads((DEEPSPEED / f"zero{compute.zero}.json").read_text())
    if compute.offload:
        config["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        config["optimizer"] = {
            "type": "AdamW",
            "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"},
        }
    return config


def require_package(name: str, setting: str) -> None:
    """Check that a package which a setting needs is installed.

    Args:
        name: of the package.
        setting: as ``key=value``, for the message.

    Raises:
        InputError: if it is not installed.
    """
    if find_spec(name) is None:
        raise InputError(f"{setting} needs the package {name} in the worker's environment: pip install {name}.")
