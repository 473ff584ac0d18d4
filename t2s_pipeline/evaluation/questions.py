"""The frozen order of a sample's questions: which one the reference protocol scores, which ones a cap keeps.

The authors' evaluation draws a question at random, unseeded, so its scores drift from run to run. Here the
draw is a hash of the sample's name, equal on every machine and for every system, and recorded as
``question_index`` in ``sample_scores``.
"""

import hashlib
from collections.abc import Iterable

DRAW_SEED = "think2seg-rs reference draw 1"
"""Part of the hash. Changing it draws other questions, and so makes another protocol."""


def question_order(sample_id: str, questions: Iterable[int]) -> list[int]:
    """The question indices in the sample's frozen order.

    Each index is sorted by the SHA-256 of the seed, the sample and the index, so that the order does not
    depend on Python, NumPy or the machine, and leaving one question out leaves the others in their order.
    """

    def key(index: int) -> bytes:
        return hashlib.sha256(f"{DRAW_SEED}\n{sample_id}\n{index}".encode()).digest()

    return sorted(questions, key=key)


def asked_questions(sample_id: str, count: int, max_questions: int | None = None) -> list[int]:
    """Which of a sample's ``count`` questions a system is asked, ascending.

    All of them, or the first ``max_questions`` of the frozen order: a cap keeps the question that the
    reference protocol scores.
    """
    return sorted(question_order(sample_id, range(count))[:max_questions])
