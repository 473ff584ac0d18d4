"""The choice of pictured samples follows its rule whatever the order of the rows."""

import random

from t2s_pipeline.reporting.showcase import FirstAnswer, choose, rule


def scores(ious, empties=()) -> list[FirstAnswer]:
    return [FirstAnswer(f"s{i:03d}", iou, False) for i, iou in enumerate(ious)] + [
        FirstAnswer(f"e{i:03d}", iou, True) for i, iou in enumerate(empties)
    ]


def names(picks, group) -> list[str]:
    return [pick.sample_id for pick in picks if pick.group == group]


def test_spread_is_even_over_the_ranks():
    """60 targets with IoU falling from 0.99; the two last are failures, so six picks fall on every 58/6-th."""
    picks = choose(scores([0.99 - i / 100 for i in range(60)]), {}, count=10)
    assert names(picks, "worst") == ["s059", "s058"]
    assert names(picks, "spread") == ["s003", "s010", "s018", "s025", "s032", "s039", "s047", "s054"]
    assert picks[0].why == "rank 4 of 60 by IoU"


def test_order_of_rows_does_not_matter():
    rows = scores([random.Random(1).random() for _ in range(40)] + [0.5] * 20, [0, 1, 1, 0, 1])
    shuffled = rows[:]
    random.Random(2).shuffle(shuffled)
    assert choose(rows, {}) == choose(shuffled, {})


def test_among_equal_failures_those_the_base_did_best_come_first():
    picks = choose(scores([0.0] * 30 + [0.9] * 30), {"s007": 0.8, "s020": 0.6, "s011": 0.1})
    assert names(picks, "worst") == ["s007", "s020"]


def test_empty_targets_show_both_outcomes_when_there_are_both():
    assert names(choose(scores([0.5] * 20, [1, 1, 1, 0, 0]), {}), "empty") == ["e003", "e000"]
    assert names(choose(scores([0.5] * 20, [1, 1, 1]), {}), "empty") == ["e000", "e001"]


def test_nobody_is_picked_twice_and_a_good_answer_is_no_failure():
    picks = choose(scores([0.9, 0.8, 0.3, 0.7], [1]), {})
    assert sorted(pick.sample_id for pick in picks) == ["e000", "s000", "s001", "s002", "s003"]
    assert names(picks, "worst") == ["s002"]


def test_count_is_kept_for_any_mixture():
    for targets in range(0, 25):
        for empties in range(0, 6):
            picks = choose(scores([i / 25 for i in range(targets)], [0] * empties), {}, count=10)
            assert len({pick.sample_id for pick in picks}) == len(picks) <= 10
            assert len(picks) >= min(10, targets + min(empties, 2))


def test_the_rule_states_its_numbers():
    picks = choose(scores([0.9] * 30 + [0.1] * 10, [1, 0, 1]), {})
    assert "6 spread evenly" in rule(picks, "trained", "base")
    assert "2 with an empty target" in rule(picks, "trained", "base")
