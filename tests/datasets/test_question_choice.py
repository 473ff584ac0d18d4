"""Published rules choose among questions that are all kept; the choice is frozen, whoever computes it."""

from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.datasets.question_choice import (
    BY_HASH,
    CHOICE_SEED,
    asked_questions,
    question_choices,
    question_order,
)
from t2s_pipeline.datasets.registry import published_rule
from tests.data import make_earthreason, make_rrsis_d
from tests.datasets.reading import read_tables


def test_every_sample_has_one_choice_a_rule_and_loses_no_question():
    for name, root in (("earthreason", make_earthreason.HERE), ("rrsis-d", make_rrsis_d.HERE)):
        tables = read_tables(name, root, "train")
        rows = tables.selections.to_pylist()
        assert len(rows) == 2 * tables.samples.num_rows
        count = {row["sample_id"]: len(row["questions"]) for row in tables.samples.to_pylist()}
        assert all(0 <= row["question_index"] < count[row["sample_id"]] for row in rows)
        assert {row["rule"] for row in rows if row["published"]} == {published_rule(name)}
        assert {row["rule"]: row["seed"] for row in rows} == {"by_hash": CHOICE_SEED, "first": ""}


def test_the_rules_are_the_published_ones():
    assert published_rule("rrsis-d") == "first"
    assert published_rule("earthreason") == published_rule("mine") == "by_hash"


def test_the_choice_is_frozen():
    # Computed once by hand: sha256("think2seg-rs reference draw 1\n<id>\n<index>") sorted over six indices.
    assert [question_order(name, range(6))[0] for name in ("0", "1", "2", "airport_12")] == [1, 3, 3, 2]
    assert sorted({question_order(str(n), range(6))[0] for n in range(100)}) == [0, 1, 2, 3, 4, 5]


def test_a_cap_on_questions_keeps_the_one_that_reference_scores():
    for n in range(50):
        assert asked_questions(str(n), 6, 1) == question_order(str(n), range(6))[:1]
    assert asked_questions("0", 3) == [0, 1, 2]
    assert len(asked_questions("0", 6, 4)) == 4


@given(st.text(), st.integers(1, 8))
def test_what_is_scored_and_what_is_frozen_are_the_same_question(sample_id, count):
    by_hash, first = question_choices(BY_HASH, sample_id, count)
    assert by_hash.question_index == question_order(sample_id, range(count))[0]
    assert asked_questions(sample_id, count, 1) == [by_hash.question_index]
    assert first.question_index == 0
    # Where the published rule is the first sentence, a cap keeps that one.
    assert asked_questions(sample_id, count, 1, published_rule("rrsis-d")) == [0]
