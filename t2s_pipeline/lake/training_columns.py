"""The columns of the log of a training, for ``schema.py``."""

from typing import Any

import pyarrow as pa

STR, INT, REAL = pa.string(), pa.int32(), pa.float64()
LOG_COLUMNS: dict[str, Any] = {
    "step": (INT, "number of the step, from 1"),
    "reward": (REAL, "mean reward over the batch, the weighted sum of all parts"),
    "reward_std": (REAL, "standard deviation within a group, mean over groups"),
    "reward_parts": (pa.map_(STR, REAL), "mean of each part of the reward, without its weight"),
    "zero_variance_share": (REAL, "share of groups whose rewards are all equal"),
    "valid_share": (REAL, "share of completions that parse"),
    "abstained": (INT, "completions without a reward because of a failure of the pipeline"),
    "kl": (REAL, "KL divergence from the reference model: mean of the k3 estimate"),
    "loss": (REAL, "GRPO loss of the step"),
    "grad_norm": (REAL, "norm of the gradient before clipping"),
    "learning_rate": (REAL, "learning rate of this step"),
    "completion_tokens": (REAL, "mean length of the completions, tokens"),
    "longest_completion": (REAL, "length of the longest completion, tokens"),
    "clipped_share": (REAL, "share of completions that reached the length limit"),
    "entropy": (REAL, "entropy of the predicted token, nats: mean over completion tokens"),
    "seconds": (REAL, "duration of the whole step"),
    "generate_seconds": (REAL, "duration of sampling the completions"),
    "reward_seconds": (REAL, "duration of segmenting and scoring"),
    "update_seconds": (REAL, "duration of log-probabilities, forward and backward passes and optimizer"),
    "tokens_per_second": (REAL, "completion tokens of all ranks divided by the duration of the whole step"),
    "peak_mb": (REAL, "memory of the rank that uses most: of its device, or resident memory without a device"),
    "samples": (pa.list_(STR), "sample_id of each prompt of the step, in the order of training"),
    "warnings": (pa.list_(STR), "health rules that this step breaks"),
}
