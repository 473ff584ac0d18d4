"""The paper's numbers are carried whole and spoken in our names."""

import csv
from collections import Counter

from t2s_pipeline.lake.published import PUBLISHED_CSV, published_metrics
from t2s_pipeline.lake.schema import PUBLISHED_METRICS


def test_all_169_numbers_of_the_preprint_are_there_in_their_tables():
    table = published_metrics()
    assert table.schema == PUBLISHED_METRICS.schema
    preprint = [row["paper_table"] for row in table.to_pylist() if row["edition"] == "preprint"]
    assert Counter(preprint) == {1: 36, 2: 12, 3: 65, 4: 20, 5: 16, 6: 20}
    assert len(preprint) == 169


def test_the_journal_prints_other_numbers_for_the_7b_model_on_test():
    columns = ("paper_table", "measured_as", "dataset", "split", "metric", "value")
    journal = [row for row in published_metrics().to_pylist() if row["edition"] != "preprint"]
    assert {row["edition"] for row in journal} == {"journal"}
    assert [tuple(row[name] for name in columns) for row in journal] == [
        (1, "think2seg-rs-7b", "earthreason", "test", "giou", 73.36),
        (1, "think2seg-rs-7b", "earthreason", "test", "ciou", 75.60),
    ]


def test_every_row_of_a_table_is_one_system_of_ours():
    rows = published_metrics().to_pylist()
    columns = ("edition", "paper_table", "measured_as", "dataset", "split", "metric")
    keys = Counter(tuple(row[name] for name in columns) for row in rows)
    assert set(keys.values()) == {1}
    named = {(r["system"], r["prompter"], r["segmenter"], r["prompt_combination"], r["measured_as"]) for r in rows}
    think2seg = [row for row in named if row[0] == "Think2Seg-RS"]
    assert len({row[-1] for row in think2seg}) == len(think2seg) == 12


def test_a_system_of_ours_has_one_published_value_for_one_thing():
    # The same run stands in several tables (the 3B model in 1, 4, 5 and 6); an edition prints one number for it.
    values = {}
    for row in published_metrics().to_pylist():
        key = (row["edition"], row["measured_as"], row["dataset"], row["split"], row["metric"])
        assert values.setdefault(key, row["value"]) == row["value"], key


def test_names_are_keys_and_blanks_are_null():
    rows = published_metrics().to_pylist()
    assert {row["dataset"] for row in rows} == {"earthreason", "rrsis-d", "risbench", "refsegrs"}
    assert {row["metric"] for row in rows} == {"giou", "ciou", "p_at_50", "rejection_true", "rejection_false"}
    assert "" not in {value for row in rows for value in row.values()}


def test_the_paper_s_headline_is_digit_for_digit():
    with PUBLISHED_CSV.open() as file:
        found = [
            (row["edition"], row["value"])
            for row in csv.DictReader(file)
            if (row["paper_table"], row["measured_as"], row["split"]) == ("1", "think2seg-rs-7b", "test")
        ]
    assert found == [("preprint", "73.73"), ("journal", "73.36"), ("preprint", "75.83"), ("journal", "75.6")]
