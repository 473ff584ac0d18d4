"""The settings of a run beside those of GRPO: the machines it trains on, and how it is watched."""

import re
from dataclasses import dataclass

ROLLOUTS = ("transformers", "vllm")
TRACKERS = ("", "tensorboard", "wandb")
_VALIDATE = re.compile(r"all|last|none|every:([1-9]\d*)")


@dataclass(frozen=True)
class Compute:
    """The machines that a run trains on. They count in its fingerprint: sampling and rounding depend on them."""

    processes: int = 1
    """Processes (ranks) on each node, each with a device of its own; torchrun starts them."""
    nodes: int = 1
    """Machines that train together; T2S_HOME lies on a file system that all of them see."""
    zero: int = 0
    """DeepSpeed's ZeRO stage: 2 splits gradients and optimizer over the devices, 3 the weights too; 0 is plain DDP."""
    offload: bool = False
    """Keep the optimizer's state in the machine's memory (ZeRO only)."""
    rollouts: str = "transformers"
    """What samples completions: transformers, or vllm in the same process and on the same device."""
    vllm_memory_share: float = 0.3
    """How much of the device's memory vLLM may take."""

    def faults(self) -> list[str]:
        """The rules that the settings break, in words."""
        rules = {
            "compute.processes and compute.nodes must be at least 1": min(self.processes, self.nodes) >= 1,
            "compute.zero is a ZeRO stage: 0, 2 or 3": self.zero in (0, 2, 3),
            "compute.offload needs compute.zero 2 or 3": not self.offload or self.zero > 0,
            f"compute.rollouts must be one of {', '.join(ROLLOUTS)}": self.rollouts in ROLLOUTS,
            "compute.vllm_memory_share must lie between 0 and 1": 0 < self.vllm_memory_share < 1,
        }
        return [fault for fault, holds in rules.items() if not holds]

    @property
    def ranks(self) -> int:
        """Processes over all nodes."""
        return self.processes * self.nodes


@dataclass(frozen=True)
class Watch:
    """How a run is watched and which checkpoints stay. No weight depends on these settings."""

    sample_every: int = 20
    """Steps between sample completions with their panels; 0 for none."""
    keep_last: int = 0
    """Complete checkpoints to keep, newest first; 0 keeps all."""
    keep_best: int = 0
    """With ``keep_last``: how many of the best by gIoU on val (strict) stay as well. A checkpoint that has no score yet
    stays until it has one."""
    validate: str = "all"
    """Which checkpoints are evaluated on val by themselves: all, every:n (each n-th, and the last one), last, or none.
    The best is chosen among them."""
    report_to: str = ""
    """tensorboard or wandb, beside the table training_log; empty for neither."""
    window: int = 10
    """The number of steps that the health rules average over."""
    min_valid_share: float = 0.2
    """Warn if a smaller share of answers parses."""
    max_zero_variance: float = 0.9
    """Warn if in a larger share of groups all completions earn the same: nothing is learned from such groups."""
    max_kl: float = 1.0
    """Warn if the policy is farther from the base, in nats per token."""
    falling_steps: int = 100
    """Warn if, of so many steps, the reward of the newer half is clearly below that of the older half."""
    max_abstained: float = 0.05
    """Warn if a larger share of completions got no reward because the pipeline failed."""
    stop: bool = False
    """Stop the run instead of warning only."""

    def faults(self) -> list[str]:
        """The rules that the settings break, in words."""
        counts = ("sample_every", "keep_last", "keep_best")
        rules = {
            **{f"watch.{name} must not be negative": getattr(self, name) >= 0 for name in counts},
            "watch.keep_best needs watch.keep_last": self.keep_last > 0 or self.keep_best == 0,
            f"watch.report_to must be one of {', '.join(filter(None, TRACKERS))}, or empty": self.report_to in TRACKERS,
            "watch.validate must be all, every:n, last or none": _VALIDATE.fullmatch(self.validate) is not None,
            "watch.window must be at least 1": self.window >= 1,
            "watch.falling_steps must be at least 4": self.falling_steps >= 4,
        }
        return [fault for fault, holds in rules.items() if not holds]

    def validates(self, step: int, final: bool, checkpoint_every: int) -> bool:
        """Whether a checkpoint is evaluated on val by itself.

        With ``every:2`` and a checkpoint every 10 steps, those are the steps 20, 40, 60 and so on, and the last one.

        Args:
            step: of the checkpoint.
            final: whether it is the last one of its run.
            checkpoint_every: steps between checkpoints.
        """
        match = _VALIDATE.fullmatch(self.validate)
        if match is not None and match[1]:
            return final or step // checkpoint_every % int(match[1]) == 0
        return self.validate == "all" or (self.validate == "last" and final)
