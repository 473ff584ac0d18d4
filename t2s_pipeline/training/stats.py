"""A batch of completions in a few numbers: what it earned, how long that took, and the memory. No torch at import."""

import math
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
    update_seconds: float = 0.0
    """Log-probabilities, forward and backward passes, the optimizer's step."""
    prompts: tuple[int, ...] = ()
    """The step's prompts by their row in the run's order, those of the first rank first."""
    peak_mb: float = 0.0
    """Of the rank that holds the most."""


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


def peak_resident_megabytes() -> float:
    """The most memory that this process has held."""
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_megabytes(device) -> float:
    """The most memory held so far: on a torch device with a memory of its own, there, else by this process."""
    if device.type == "cpu":
        return peak_resident_megabytes()
    import torch

    return torch.cuda.max_memory_allocated(device) / 1e6
