"""The length budget of PixelThink: how long an answer may be depends on how hard its question is.

Source: Wang et al., "PixelThink: Towards Efficient Chain-of-Pixel Reasoning", arXiv 2505.23727, and its public
code. There, a language model rates the difficulty of each question beforehand, and the uncertainty is that of the
tokens. Here both come from the group of completions of a question, so that no further model or label is needed.
"""

import numpy as np
import numpy.typing as npt

Rewards = npt.NDArray[np.float64]

HARD_FROM, MEDIUM_FROM = 5.0, 3.5
"""Difficulties, from 0 to 10, from which a question is hard, and medium. PixelThink's values, as all that follow."""
EASY_TOKENS, HARD_TOKENS = 96.0, 256.0
"""The budget of an easy question, and that of a hard one whose answers agree."""
TOKENS_PER_UNCERTAINTY = 25.0
"""What each point of uncertainty, of 10, adds to the budget of a hard question."""
LOSS_PER_TOKEN = 1 / 500
"""What each token beyond the budget takes from the factor."""


def difficulty(rewards: Rewards, maximum: float) -> float:
    """How hard a question is, from 0 to 10: ``10 · (1 − mean reward / maximum)`` over the completions of its group."""
    return float(10 * (1 - np.mean(rewards) / maximum))


def uncertainty(rewards: Rewards, maximum: float) -> float:
    """How far the completions of a question disagree, from 0 to 10: ``10 · 2 · standard deviation / maximum``."""
    return float(20 * np.std(rewards) / maximum)


def budget(difficulty_score: float, uncertainty_score: float) -> float | None:
    """The tokens that an answer may have: 96 if its question is easy, 256 + 25 · u if it is hard, None between them."""
    if difficulty_score >= HARD_FROM:
        return HARD_TOKENS + TOKENS_PER_UNCERTAINTY * uncertainty_score
    return None if difficulty_score >= MEDIUM_FROM else EASY_TOKENS


def length_factor(tokens: float, tokens_allowed: float | None) -> float:
    """What a reward is multiplied with: 1 within the budget, less by 1/500 for each further token, at least 0.

    PixelThink's formula is ``clip(1 + β · (budget − tokens), 0, 1)``.
    """
    if tokens_allowed is None:
        return 1.0
    return min(1.0, max(0.0, 1 + LOSS_PER_TOKEN * (tokens_allowed - tokens)))


def length_factors(rewards: Rewards, tokens: Rewards, group_size: int, maximum: float, easy_tokens: int) -> Rewards:
    """The factor of each completion of a batch.

    Args:
        rewards: the total reward of each completion, group after group; NaN for a completion without one.
        tokens: the length of each completion.
        group_size: completions per question.
        maximum: the reward of a perfect answer.
        easy_tokens: the budget of an easy question. All numbers of PixelThink are scaled by ``easy_tokens / 96``.
    """
    scaled = tokens * (EASY_TOKENS / easy_tokens)
    factors = np.ones(len(rewards))
    for start in range(0, len(rewards), group_size):
        group = slice(start, start + group_size)
        judged = rewards[group][~np.isnan(rewards[group])]
        if judged.size:
            allowed = budget(difficulty(judged, maximum), uncertainty(judged, maximum))
            factors[group] = [length_factor(float(length), allowed) for length in scaled[group]]
    return factors
