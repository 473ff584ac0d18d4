"""Which of a sample's questions a published protocol asks.

Ingest keeps every question. A rule chooses one question per sample; the table ``selections`` records the choice of
every rule.

* ``by_hash``: the question whose hash of seed, sample and index is the smallest. The authors' evaluation of EarthReason
  chooses at random and without a seed, so its scores vary between runs. This choice is the same on every machine and
  for every system.
* ``first``: the first question. RRSIS-D is evaluated this way, because its references have several sentences.

The reference protocol asks by the dataset's ``published_rule``.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CHOICE_SEED = "think2seg-rs reference draw 1"
"""Part of the hash. Another text chooses other questions, and so makes another protocol."""

BY_HASH, FIRST = "by_hash", "first"
"""The rules, as the table stores them."""


@dataclass(frozen=True)
class Selection:
    """The question that a rule chooses for one sample; a row of the table ``selections``."""

    rule: str
    sample_id: str
    question_index: int
    seed: str
    """Empty for the rule ``first``, which needs no seed."""
    published: bool
    """The dataset's published numbers follow this rule."""


def question_order(sample_id: str, questions: Iterable[int]) -> list[int]:
    """The question indices in the order of their hashes.

    The hash is the SHA-256 of the seed, the sample and the index. So the order does not depend on Python, NumPy or
    the machine, and the other questions keep their order when one is left out.
    """

    def key(index: int) -> bytes:
        return hashlib.sha256(f"{CHOICE_SEED}\n{sample_id}\n{index}".encode()).digest()

    return sorted(questions, key=key)


def ordered_questions(rule: str, sample_id: str, questions: Iterable[int]) -> list[int]:
    """The question indices in the order in which a rule prefers them: the first is its choice."""
    return sorted(questions) if rule == FIRST else question_order(sample_id, questions)


def asked_questions(sample_id: str, count: int, max_questions: int | None = None, rule: str = BY_HASH) -> list[int]:
    """Which of a sample's questions a system is asked, as ascending indices.

    Args:
        sample_id: the sample.
        count: how many questions the sample has.
        max_questions: the most questions that are asked, taken from the start of the rule's order, so that the
            question that the reference protocol scores is among them. None asks all.
        rule: the rule of the dataset's published numbers, ``by_hash`` or ``first``.
    """
    return sorted(ordered_questions(rule, sample_id, range(count))[:max_questions])


def question_choices(published_rule: str, sample_id: str, count: int) -> Iterator[Selection]:
    """What every rule chooses among a sample's questions.

    Args:
        published_rule: the rule that the dataset's published numbers follow.
        sample_id: the sample.
        count: how many questions the sample has, at least one.
    """
    for rule, seed in ((BY_HASH, CHOICE_SEED), (FIRST, "")):
        index = ordered_questions(rule, sample_id, range(count))[0]
        yield Selection(rule, sample_id, index, seed, rule == published_rule)
