"""The health rules of a run, by numbers worked out by hand; and which checkpoints can be removed."""

from dataclasses import replace
from pathlib import Path

import pytest

from t2s_pipeline.methods.compute import Watch
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.health import symptoms
from t2s_pipeline.training.keeping import dispensable

RULES = Watch(window=2, falling_steps=8)
WELL = {"reward": 2.0, "valid_share": 0.9, "zero_variance_share": 0.2, "kl": 0.01, "abstained": 0}


def rules_broken(rows: list[dict], rules: Watch = RULES) -> list[str]:
    return [symptom.rule for symptom in symptoms(rows, rules, completions_per_step=64)]


def test_a_run_that_is_well_has_no_symptoms():
    assert rules_broken([WELL] * 20) == []
    assert rules_broken([]) == []


@pytest.mark.parametrize(
    ("rule", "ill", "just_well"),
    [
        ("few_valid", {"valid_share": 0.19}, {"valid_share": 0.2}),
        ("zero_variance", {"zero_variance_share": 0.91}, {"zero_variance_share": 0.9}),
        ("far_from_base", {"kl": 1.01}, {"kl": 1.0}),
        # 5 % of 64 is 3.2.
        ("abstained", {"abstained": 4}, {"abstained": 3}),
    ],
)
def test_a_rule_is_broken_by_the_mean_of_the_window(rule: str, ill: dict, just_well: dict):
    assert rules_broken([WELL, {**WELL, **ill}, {**WELL, **ill}]) == [rule]
    assert rules_broken([{**WELL, **just_well}] * 3) == []
    # One bad step is an accident, unless the mean of two is over the bound with it.
    assert rules_broken([{**WELL, **ill}]) == []


def test_a_falling_reward_is_told_from_a_noisy_one():
    # Older half 2.1, 1.9, 2.1, 1.9; newer half lower by 0.5. Variance of each 0.04 / 3, so the standard error of the
    # difference is √(2 · 0.0133 / 4) = 0.0816, three of which are 0.245.
    older = [2.1, 1.9, 2.1, 1.9]
    falling = [{**WELL, "reward": value} for value in [*older, *(value - 0.5 for value in older)]]
    assert rules_broken(falling) == ["reward_falls"]
    for fall, broken in ((0.25, True), (0.24, False), (-0.5, False)):
        rows = [{**WELL, "reward": value} for value in [*older, *(value - fall for value in older)]]
        assert (rules_broken(rows) == ["reward_falls"]) == broken, fall
    assert rules_broken(falling[1:]) == [], "not before there are so many steps"


def test_steps_without_a_number_do_not_count():
    nothing = dict.fromkeys(("reward", "valid_share", "zero_variance_share", "kl"))
    assert rules_broken([{**WELL, **nothing}] * 10) == []


def made(*steps: int) -> list[Checkpoint]:
    told = experiment("think2seg-mini").as_json()
    one = Checkpoint(Path("runs"), "run", 0, 100, told, "f", "d", "s", "2025-01-01T00:00:00+00:00")
    return [replace(one, step=step, path=Path(f"runs/checkpoint-{step}")) for step in steps]


def gone(scores: dict[int, float], last: int, best: int) -> list[int]:
    return [checkpoint.step for checkpoint in dispensable(made(10, 20, 30, 40, 50), scores, last, best)]


def test_the_newest_and_the_best_on_val_are_kept():
    scores = {10: 60.0, 20: 70.0, 30: 65.0, 40: 61.0, 50: 64.0}
    assert gone(scores, last=0, best=0) == []
    assert gone(scores, last=2, best=0) == [10, 20, 30]
    assert gone(scores, last=1, best=1) == [10, 30, 40]
    assert gone(scores, last=1, best=2) == [10, 40]
    # Unjudged ones may be the best; without keep_best nobody asks.
    assert gone({10: 60.0, 20: 70.0}, last=1, best=1) == [10]
    assert gone({}, last=1, best=1) == []
    assert gone({}, last=1, best=0) == [10, 20, 30, 40]
    # One that nothing evaluates (watch.validate) is not kept for that.
    removed = dispensable(made(10, 20, 30, 40, 50), {20: 60.0}, 1, 1, lambda checkpoint: checkpoint.step % 20 == 0)
    assert [checkpoint.step for checkpoint in removed] == [10, 30]
