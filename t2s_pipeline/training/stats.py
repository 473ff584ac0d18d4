"""Statistics of a batch of completions: rewards, time and memory. It imports torch only inside a function."""

import math
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass
class BatchStats:
    """Rewards, time and memory of one batch of completions, over all ranks."""

    reward: float | None = None
    reward_std: float | None = None
    parts: dict[str, float] | None = None
    zero_variance_share: float | None = None
    abstained: int = 0
    generate_seconds: float = 0.0
    reward_seconds: float = 0.0
    update_seconds: float = 0.0
    """Time of log-probabilities, forward and backward passes, and the optimizer's step."""
    prompts: tuple[int, ...] = ()
    """The prompts of the step, as their places in the run's order; those of the first rank come first."""
    peak_mb: float = 0.0
    """Memory of the rank that uses most, in MB (10⁶ bytes)."""


def summarize(
    rewards: np.ndarray, weights: Sequence[float] | np.ndarray, names: Sequence[str], group_size: int
) -> BatchStats:
    """Statistics of the rewards of a batch, without completions that have no reward.

    Args:
        rewards: (groups × ``group_size``, parts), unweighted; NaN in the rows of completions without a reward.
        weights: of the parts.
        names: of the parts.
        group_size: completions per prompt.
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


def peak_resident_megabytes() -> float:
    """The most memory that this process has used, in MB (10⁶ bytes)."""
    # The value is in kilobytes on Linux and in bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_megabytes(device: "torch.device") -> float:
    """The most memory used so far, in MB (10⁶ bytes): of the GPU if ``device`` is one, else of this process."""
    if device.type == "cpu":
        return peak_resident_megabytes()
    import torch

    return torch.cuda.max_memory_allocated(device) / 1e6
