"""Which of a sample's questions a published protocol asks: rules over all of them, frozen in the table ``selections``.

Nothing is lost at ingest; a selection says afterwards which question counts where a rule asks for one only.

* ``draw``: one question a sample, drawn by the hash of a seed and the sample's name. The authors' evaluation of
  EarthReason draws at random, unseeded, so its scores drift; this draw is equal on every machine and for every system.
* ``first``: the first one. The field's rule for RRSIS-D, whose references have several sentences.

The reference protocol asks by ``PUBLISHED_RULE``.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DRAW_SEED = "think2seg-rs reference draw 1"
"""Part of the hash. Changing it draws other questions, and so makes another protocol."""

DRAW, FIRST = "draw", "first"
PUBLISHED_RULE: dict[str, str] = {"rrsis-d": FIRST}
"""Dataset → the rule of its published numbers; ``draw`` for every other."""


@dataclass(frozen=True)
class Selection:
    """A rule's choice for one sample; ``seed`` is empty where nothing is drawn."""

    rule: str
    sample_id: str
    question_index: int
    seed: str
    published: bool
    """The dataset's published numbers follow this rule."""


def question_order(sample_id: str, questions: Iterable[int]) -> list[int]:
    """The question indices in the sample's frozen order.

    Each index is sorted by the SHA-256 of the seed, the sample and the index, so that the order does not
    depend on Python, NumPy or the machine, and leaving one question out leaves the others in their order.
    """

    def key(index: int) -> bytes:
        return hashlib.sha256(f"{DRAW_SEED}\n{sample_id}\n{index}".encode()).digest()

    return sorted(questions, key=key)


def asked_questions(sample_id: str, count: int, max_questions: int | None = None, rule: str = DRAW) -> list[int]:
    """Which of a sample's questions a system is asked, as ascending indices.

    Args:
        sample_id: the sample.
        count: how many questions the sample has.
        max_questions: the most questions that are asked, taken from the start of the rule's order, so that the
            question that the reference protocol scores is among them. None asks all.
        rule: the rule of the dataset's published numbers, ``draw`` or ``first``.
    """
    order = list(range(count)) if rule == FIRST else question_order(sample_id, range(count))
    return sorted(order[:max_questions])


def published_rule(dataset: str) -> str:
    """The rule that the dataset's published numbers follow."""
    return PUBLISHED_RULE.get(dataset, DRAW)


def selections(dataset: str, sample_id: str, questions: int) -> Iterator[Selection]:
    """What every rule chooses among the sample's ``questions`` (at least one)."""
    published = published_rule(dataset)
    yield Selection(DRAW, sample_id, question_order(sample_id, range(questions))[0], DRAW_SEED, published == DRAW)
    yield Selection(FIRST, sample_id, 0, "", published == FIRST)
