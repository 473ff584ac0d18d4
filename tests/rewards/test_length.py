"""PixelThink's length budget, with numbers worked out by hand."""

import numpy as np
import pytest

from t2s_pipeline.rewards.length import budget, difficulty, length_factor, length_factors, uncertainty


def test_difficulty_and_uncertainty_of_a_group():
    # Of a maximum of 3: mean 1.5, so 5 of 10; standard deviation 1.5, so 20 · 1.5 / 3.
    rewards = np.array([0.0, 3.0, 0.0, 3.0])
    assert difficulty(rewards, 3) == pytest.approx(5)
    assert uncertainty(rewards, 3) == pytest.approx(10)


def test_easy_medium_and_hard_questions_have_their_budgets():
    assert budget(3.4, 9) == 96
    assert budget(3.5, 9) is None
    assert budget(5.0, 0) == 256
    assert budget(8.0, 4) == 256 + 25 * 4


@pytest.mark.parametrize(
    ("tokens", "allowed", "factor"),
    [(96, 96, 1), (10, 96, 1), (146, 96, 0.9), (596, 96, 0), (900, 96, 0), (900, None, 1)],
)
def test_tokens_beyond_the_budget_cost(tokens, allowed, factor):
    assert length_factor(tokens, allowed) == pytest.approx(factor)


def test_each_group_has_its_own_budget_and_failures_do_not_count():
    # First group: all perfect, so easy: 48 tokens allowed. 73 tokens are 25 too many, twice 25 on PixelThink's scale.
    # Second group: one judged completion of 0, so hard: 128 allowed.
    rewards = np.array([3.0, 3.0, 0.0, np.nan])
    factors = length_factors(rewards, np.array([48.0, 73.0, 128.0, 128.0]), 2, 3.0, 48)
    assert factors == pytest.approx([1, 0.9, 1, 1])
