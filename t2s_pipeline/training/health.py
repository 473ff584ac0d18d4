"""Health rules of a run: what a person would notice in its training curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.methods.compute import Watch

Row = Mapping[str, Any]
"""A row of ``training_log`` by column."""

SIGNIFICANT = 3.0
"""The rule reward_falls is broken if the reward fell by more than this number of standard errors."""


class UnhealthyRun(T2SError):
    """A health rule is broken, and the experiment says that the run stops in this case."""


@dataclass(frozen=True)
class Symptom:
    """A broken rule: its name, and a sentence with the numbers."""

    rule: str
    sentence: str


def symptoms(rows: Sequence[Row], rules: Watch, completions_per_step: int) -> list[Symptom]:
    """The rules that the last steps of a training log break; none while there are fewer than ``rules.window`` steps.

    Args:
        rows: of ``training_log``, oldest first.
        rules: the limits, and the number of steps that they apply to.
        completions_per_step: over all ranks.
    """
    if len(rows) < rules.window:
        return []
    last = rows[-rules.window :]
    valid, flat, kl = (_mean(last, column) for column in ("valid_share", "zero_variance_share", "kl"))
    abstained = sum(row["abstained"] for row in last) / (len(last) * completions_per_step)
    broken = []
    if valid is not None and valid < rules.min_valid_share:
        broken.append(Symptom("few_valid", f"only {valid:.0%} of the answers parse"))
    if flat is not None and flat > rules.max_zero_variance:
        broken.append(
            Symptom("zero_variance", f"{flat:.0%} of the groups have equal rewards, so nothing is learned from them")
        )
    if kl is not None and kl > rules.max_kl:
        broken.append(Symptom("far_from_base", f"the policy is {kl:.2f} nats per token from the base"))
    if abstained > rules.max_abstained:
        broken.append(
            Symptom(
                "abstained", f"{abstained:.0%} of the completions got no reward because of a failure of the pipeline"
            )
        )
    if (fall := _fall(rows, rules.falling_steps)) is not None:
        broken.append(Symptom("reward_falls", f"the reward fell by {fall:.3f} within {rules.falling_steps} steps"))
    return broken


def _fall(rows: Sequence[Row], steps: int) -> float | None:
    """By how much the mean reward of the last ``steps`` fell from the older half to the newer half.

    None if the fall is within the random variation (``SIGNIFICANT``), or if there are too few steps.
    """
    if len(rows) < steps:
        return None
    rewards = [row["reward"] for row in rows[-steps:]]
    halves = rewards[: steps // 2], rewards[steps // 2 :]
    older, newer = ([value for value in half if value is not None] for half in halves)
    if min(len(older), len(newer)) < 2:
        return None
    fall = sum(older) / len(older) - sum(newer) / len(newer)
    error = math.sqrt(_variance(older) / len(older) + _variance(newer) / len(newer))
    return fall if fall > SIGNIFICANT * error and fall > 0 else None


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _mean(rows: Sequence[Row], column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
