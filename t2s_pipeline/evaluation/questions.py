"""The frozen order of a sample's questions: which one the reference protocol scores, which ones a cap keeps.

The order is ``datasets.selections``', which also freezes its choice in the table ``selections``; what was scored is
recorded as ``question_index`` in ``sample_scores``.
"""

from t2s_pipeline.datasets.selections import DRAW, DRAW_SEED, FIRST, question_order

__all__ = ["DRAW_SEED", "asked_questions", "question_order"]


def asked_questions(sample_id: str, count: int, max_questions: int | None = None, rule: str = DRAW) -> list[int]:
    """Which of a sample's ``count`` questions a system is asked, ascending.

    All of them, or the first ``max_questions`` in the order of the dataset's published rule: a cap keeps the
    question that the reference protocol scores.
    """
    order = list(range(count)) if rule == FIRST else question_order(sample_id, range(count))
    return sorted(order[:max_questions])
