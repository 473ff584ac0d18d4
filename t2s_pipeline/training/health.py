"""Rules by which a run is called unwell: what a person would notice in its curves. No torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.methods.compute import Watch

SIGNIFICANT = 3.0
"""A fall of the reward counts from so many standard errors on."""


class UnhealthyRun(T2SError):
    """A health rule is broken and the experiment asks to stop then."""


@dataclass(frozen=True)
class Symptom:
    """A rule that is broken: its name, and what was seen."""

    rule: str
    sentence: str


def symptoms(rows: Sequence[Mapping], rules: Watch, completions_per_step: int) -> list[Symptom]:
    """The rules that the last steps of a training log break; none while there are fewer than ``rules.window``.

    Args:
        rows: of ``training_log``, oldest first.
        completions_per_step: over all ranks.
    """
    if len(rows) < rules.window:
        return []
    last = rows[-rules.window :]
    valid, flat, kl = (_mean(last, column) for column in ("valid_share", "zero_variance_share", "kl"))
    abstained = sum(row["abstained"] for row in last) / (len(last) * completions_per_step)
    found = []
    if valid is not None and valid < rules.min_valid_share:
        found.append(Symptom("few_valid", f"only {valid:.0%} of the answers parse"))
    if flat is not None and flat > rules.max_zero_variance:
        found.append(Symptom("zero_variance", f"{flat:.0%} of the groups earn all the same, so they teach nothing"))
    if kl is not None and kl > rules.max_kl:
        found.append(Symptom("far_from_base", f"the policy is {kl:.2f} nats a token from the base"))
    if abstained > rules.max_abstained:
        found.append(Symptom("abstained", f"{abstained:.0%} of the completions got no reward for a failure of ours"))
    if (fall := _fall(rows, rules.falling_steps)) is not None:
        found.append(Symptom("reward_falls", f"the reward fell by {fall:.3f} within {rules.falling_steps} steps"))
    return found


def _fall(rows: Sequence[Mapping], steps: int) -> float | None:
    """By how much the newer half of the last ``steps`` earns less than the older half, where that is no chance."""
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


def _mean(rows: Sequence[Mapping], column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
