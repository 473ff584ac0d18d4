"""The rivals' rewards by hand; each reaches both ends of its range; hostile answers cost nothing but the reward."""

import json
import random

import pytest

from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.registry import METHODS
from t2s_pipeline.methods.reward import REWARDS
from t2s_pipeline.prompting.templates import answer_text
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.functions import reward_functions
from t2s_pipeline.rewards.seg_zero import inside
from t2s_pipeline.vision.geometry import Frame, PromptObject

FRAME = Frame.square(840)
SEG_ZERO, VISION_REASONER, REMOTE_REASONER = (
    METHODS[name].recipe for name in ("seg-zero", "vision-reasoner", "remote-reasoner")
)
LABEL = Label((100, 100, 199, 199), ((150, 150), (120, 130)), 10_000)
"""100 × 100 pixels."""
FAR = Label((600, 500, 699, 599), ((650, 550), (620, 530)), 10_000)


def parts(recipe: Recipe, answer: object, *labels: Label, frame: Frame = FRAME, thought: str = "A roof.") -> dict:
    """What each part gives for an answer, which is JSON unless it is the whole text already."""
    text = answer if isinstance(answer, str) else answer_text(thought, json.dumps(answer))
    functions = reward_functions(recipe, None, frame)
    return {function.__name__: function([text], labels=[labels])[0] for function in functions}


def total(recipe: Recipe, answer: object, *labels: Label, **options) -> float:
    earned = parts(recipe, answer, *labels, **options)
    return sum(weight * earned[name] for name, weight in REWARDS[recipe.reward].parts.items())


def one(box, first=(150, 150), second=(120, 130)) -> dict:
    return {"bbox": list(box), "points_1": list(first), "points_2": list(second)}


def several(*items) -> list[dict]:
    return [{"bbox_2d": list(box), "point_2d": list(point)} for box, point in items]


class TestSegZero:
    def test_everything_right_earns_five_and_nothing_right_earns_nothing(self):
        assert total(SEG_ZERO, one((100, 100, 199, 199)), LABEL) == 5
        assert total(SEG_ZERO, "I see a roof at [100, 100, 199, 199].", LABEL) == 0

    def test_tags_alone_and_strict_json(self):
        assert parts(SEG_ZERO, answer_text("a roof", "somewhere"), LABEL)["tags"] == 1
        assert total(SEG_ZERO, answer_text("a roof", "somewhere"), LABEL) == 1
        # A repairable answer (the last brace is missing) is no strict JSON.
        assert total(SEG_ZERO, answer_text("a roof", json.dumps(one((100, 100, 199, 199)))[:-1]), LABEL) == 1
        more = {**one((100, 100, 199, 199)), "sure": True}
        assert total(SEG_ZERO, more, LABEL) == 1
        assert total(SEG_ZERO, {**one((100, 100, 199, 199)), "bbox": [100, 100, 199]}, LABEL) == 1

    def test_the_boxes_are_taken_as_pixels(self):
        """100 × 50 pixels of the label's 100 × 100 are an IoU of exactly 1/2, which is not above it; a row more is.

        As continuous rectangles the first would be 99 × 49 / 99² = 0.495 and the second 0.505. The mean of the four
        differences is 50 / 4 = 12.5, not below 10.
        """
        half = parts(SEG_ZERO, one((100, 100, 199, 149), (150, 140)), LABEL)
        more = parts(SEG_ZERO, one((100, 100, 199, 150), (150, 140)), LABEL)
        assert (half["box_iou"], more["box_iou"]) == (0, 1)
        assert (half["box_l1"], more["box_l1"]) == (0, 0)

    def test_ten_pixels_off_on_average_is_too_far(self):
        # (10 + 10 + 10 + 10) / 4 = 10 and (10 + 10 + 10 + 9) / 4 = 9.75
        assert parts(SEG_ZERO, one((110, 110, 209, 209)), LABEL)["box_l1"] == 0
        assert parts(SEG_ZERO, one((110, 110, 209, 208)), LABEL)["box_l1"] == 1

    def test_points_count_under_the_better_pairing_and_inside_the_predicted_box(self):
        """Swapped points are 0 away. With a box of the whole image, points at (240, 240) and (210, 220) lie 127.3 away
        each as they are named (90 · √2); as for (150 + 80, 150) and (120 + 80, 130), 80 each: near enough."""
        whole = (0, 0, 840, 840)
        assert parts(SEG_ZERO, one((100, 100, 199, 199), (120, 130), (150, 150)), LABEL)["points"] == 1
        assert parts(SEG_ZERO, one(whole, (240, 240), (210, 220)), LABEL)["points"] == 0
        assert parts(SEG_ZERO, one(whole, (230, 150), (200, 130)), LABEL)["points"] == 1
        # 60 and 140 away: 100 on average, which is not below 100.
        assert parts(SEG_ZERO, one(whole, (210, 150), (260, 130)), LABEL)["points"] == 0
        # A right point outside the predicted box.
        assert parts(SEG_ZERO, one((125, 100, 199, 199)), LABEL)["points"] == 0

    def test_points_far_from_each_other_are_paired_by_the_sum_of_both_distances(self):
        # 90 + 90 as they are named, 510 + 510 the other way round; then the same with the names exchanged.
        wide = Label((0, 0, 840, 840), ((100, 150), (700, 150)), 10_000)
        whole = (0, 0, 840, 840)
        assert parts(SEG_ZERO, one(whole, (190, 150), (610, 150)), wide)["points"] == 1
        assert parts(SEG_ZERO, one(whole, (610, 150), (190, 150)), wide)["points"] == 1
        # 110 + 110 is too far, also where one of the products or powers would be small.
        assert parts(SEG_ZERO, one(whole, (210, 150), (590, 150)), wide)["points"] == 0

    def test_the_rim_of_a_box_is_inside(self):
        item = PromptObject((10, 20, 30, 40))
        assert all(inside(point, item) for point in ((10, 20), (30, 40), (10, 40), (30, 20)))
        assert not any(inside(point, item) for point in ((9, 20), (10, 19), (31, 40), (30, 41)))
        assert not inside((10, 20), PromptObject(None, ((10, 20),)))

    def test_an_empty_target_pays_the_form_only(self):
        assert total(SEG_ZERO, one((100, 100, 199, 199))) == 2

    def test_a_smaller_square_is_moved_to_the_one_the_thresholds_are_meant_for(self):
        """On a square of 168, 5 times smaller: (20, 20, 40, 40) is (100, 100, 200, 200), so the mean difference is
        (0 + 0 + 1 + 1) / 4; three pixels more on the right side are 15 more: (0 + 0 + 16 + 1) / 4 = 4.25; two of
        them on every side are 10."""
        small = Frame.square(168)
        right, wide, off = ((20, 20, 40, 40), (20, 20, 43, 40), (22, 22, 42, 42))
        earned = [parts(SEG_ZERO, one(box, (30, 30), (24, 26)), LABEL, frame=small) for box in (right, wide, off)]
        assert [item["box_l1"] for item in earned] == [1, 1, 0]
        assert earned[0]["points"] == 1


class TestVisionReasoner:
    def test_everything_right_earns_seven_and_nothing_right_next_to_nothing(self):
        right = several(((600, 500, 699, 599), (650, 550)), ((100, 100, 199, 199), (150, 150)))
        assert total(VISION_REASONER, right, LABEL, FAR) == 7
        assert total(VISION_REASONER, []) == 7
        # A text that repeats itself and is in no format; anything that does not repeat earns at least that 1.
        assert total(VISION_REASONER, "A roof. A roof. A roof.", LABEL) == 0

    def test_the_format_is_the_mean_over_objects_of_valid_box_and_valid_point(self):
        """First object both valid (2), second only its point (its box is reversed; 1), third nothing at all (0):
        (2 + 1 + 0) / 3 = 1 of 2."""
        answer = [
            {"bbox_2d": [100, 100, 199, 199], "point_2d": [150, 150]},
            {"bbox_2d": [199, 100, 100, 199], "point_2d": [1, 2]},
            "a roof",
        ]
        assert parts(VISION_REASONER, answer, LABEL)["answer_format"] == pytest.approx(1 / 2)
        assert parts(VISION_REASONER, {"bbox_2d": []}, LABEL)["answer_format"] == 0
        assert parts(VISION_REASONER, [], LABEL)["answer_format"] == 1

    def test_accuracy_is_divided_by_the_larger_number(self):
        one_of_two = several(((100, 100, 199, 199), (150, 150)))
        # 3 of 3 for one pair, over max(1, 2).
        assert parts(VISION_REASONER, one_of_two, LABEL, FAR)["accuracy"] == pytest.approx(3 / 3 / 2)
        two_for_one = several(((100, 100, 199, 199), (150, 150)), ((100, 100, 199, 199), (150, 150)))
        assert parts(VISION_REASONER, two_for_one, LABEL)["accuracy"] == pytest.approx(3 / 3 / 2)

    def test_a_pair_scores_its_three_parts_apart(self):
        """(100, 100, 199, 150): IoU 0.51 and mean difference 49 / 4 = 12.25; its point 29 from the label's: 2 of 3.
        A point 30 away: 1 of 3. A right point outside the box: 1 of 3."""
        for point, parts_right in (((150, 121), 2), ((150, 120), 1), ((150, 151), 1)):
            answer = several(((100, 100, 199, 150), point))
            assert parts(VISION_REASONER, answer, LABEL)["accuracy"] == pytest.approx(parts_right / 3)

    def test_the_assignment_is_the_best_one_and_not_the_first(self):
        """Labels A = (100…199)² and B beside it. Object 1 has B's box but A's point; object 2 has B's box and point.

        Pairing 1–A, 2–B: 0 + 3 (object 1's box is not A's, and A's point is not in it); 1–B, 2–A: 2 + 0. The best is 3
        of 6, over max(2, 2)."""
        answer = several(((600, 500, 699, 599), (150, 150)), ((600, 500, 699, 599), (650, 550)))
        assert parts(VISION_REASONER, answer, LABEL, FAR)["accuracy"] == pytest.approx(3 / 3 / 2)

    def test_nothing_for_an_empty_target_is_right_and_something_is_wrong(self):
        assert parts(VISION_REASONER, [])["accuracy"] == 1
        assert parts(VISION_REASONER, several(((1, 1, 2, 2), (1, 1))))["accuracy"] == 0
        assert parts(VISION_REASONER, [], LABEL)["accuracy"] == 0

    def test_at_most_120_of_either_side_count(self):
        many = several(*[((100, 100, 199, 199), (150, 150))] * 119, ((600, 500, 699, 599), (650, 550)))
        last_counts = parts(VISION_REASONER, many, FAR)["accuracy"]
        assert last_counts == pytest.approx(1 / 120)
        assert parts(VISION_REASONER, [many[0], *many], FAR)["accuracy"] == 0  # the right one is the 121st
        assert parts(VISION_REASONER, many[:1], *[LABEL] * 200)["accuracy"] == pytest.approx(1 / 120)

    def test_two_sentences_that_were_there_before_are_a_repetition(self):
        for thought, expected in (("A. B. C", 1), ("A. B. A", 1), ("A. B. A. B", 0), ("A.  A . A ", 0), ("...", 1)):
            text = f"{thought}. <answer>"
            assert parts(VISION_REASONER, text)["non_repeat"] == expected, thought


class TestRemoteReasoner:
    def test_everything_right_earns_three_and_nothing_right_earns_nothing(self):
        assert total(REMOTE_REASONER, [[600, 500, 699, 599], [100, 100, 199, 199]], LABEL, FAR) == 3
        assert total(REMOTE_REASONER, []) == 3
        assert total(REMOTE_REASONER, "no boxes", LABEL) == 0

    def test_iou_and_count_by_hand(self):
        """One box of two labels: 100 × 50 of 100 × 100 pixels is an IoU of 1/2, over max(1, 2): 1/4.
        Count: 1 − |1 − 2| / 2 = 1/2. Format: 1."""
        earned = parts(REMOTE_REASONER, [[100, 100, 199, 149]], LABEL, FAR)
        assert earned == {"matched_iou": pytest.approx(1 / 4), "count": pytest.approx(1 / 2), "format": 1}

    def test_one_flat_box_is_accepted(self):
        assert total(REMOTE_REASONER, [100, 100, 199, 199], LABEL) == 3

    def test_the_same_box_again_costs(self):
        # IoU 1 over max(2, 1), count 1 − 1/2.
        earned = parts(REMOTE_REASONER, [[100, 100, 199, 199]] * 2, LABEL)
        assert (earned["matched_iou"], earned["count"]) == (1 / 2, 1 / 2)

    def test_an_empty_target(self):
        assert parts(REMOTE_REASONER, [[1, 1, 5, 5]]) == {"matched_iou": 0, "count": 0, "format": 1}
        assert parts(REMOTE_REASONER, [], LABEL) == {"matched_iou": 0, "count": 0, "format": 1}


PIECES = [
    "<think>", "</think>", "<answer>", "</answer>", "[", "]", "{", "}", ",", ":", '"', "'", "```json", "```", " ", "\n",
    '"bbox"', '"bbox_2d"', '"point_2d"', '"points_1"', '"points_2"', "100", "-1", "1e308", "1e999", "NaN", "Infinity",
    "-Infinity", "null", "true", "0.5", "9" * 400, "[" * 3000, "{" * 500, "\ud800", "\x00", "ﬀ", "𝟙", "A roof. ",
    "[100,100,199,199]", "[[100,100,199,199]]", "[150,150]", "\\", "\\u0000", "%s", "{0}",
]  # fmt: skip


def hostile(rng: random.Random) -> str:
    """An answer that is nearly right, mangled; or nothing but pieces."""
    around = rng.choice([0, 5, 60, 900])
    box, point = ([value + rng.randint(-around, around) for value in start] for start in (LABEL.bbox, LABEL.points[0]))
    payload = rng.choice(
        [
            json.dumps(one(box, point, point)),
            json.dumps(several(*[(box, point)] * rng.choice((0, 1, 1, 1, 2, 130)))),
            json.dumps([box] * rng.choice((0, 1, 1, 1, 2, 130))),
            "".join(rng.choices(PIECES, k=rng.randint(0, 40))),
            json.dumps([{"bbox_2d": rng.choice([box, None, "1", [box], {}, True, [1, 2, 3, "4"]]), "point_2d": point}]),
        ]
    )
    thought = "A roof. " * rng.randint(0, 3) + "".join(rng.choices(PIECES, k=rng.randint(0, 2)))
    text = answer_text(thought, payload)
    for _ in range(rng.choice((0, 0, 1, 3))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(PIECES) + text[at + rng.randint(0, 6) :]
    return text


@pytest.mark.parametrize("recipe", [SEG_ZERO, VISION_REASONER, REMOTE_REASONER], ids=lambda recipe: recipe.reward)
def test_ten_thousand_hostile_answers_earn_a_reward_in_range_and_never_raise(recipe: Recipe):
    rng = random.Random(0)
    texts = [hostile(rng) for _ in range(10_000)]
    labels = [rng.choice([(), (LABEL,), (LABEL, FAR)]) for _ in texts]
    reward = REWARDS[recipe.reward]
    totals = [0.0] * len(texts)
    seen: dict[str, set] = {}
    for function in reward_functions(recipe, None, FRAME):
        earned = function(texts, labels=labels)
        assert all(0 <= value <= 1 for value in earned), function.__name__
        weight = dict(reward.parts)[function.__name__]
        totals = [total + weight * value for total, value in zip(totals, earned, strict=True)]
        seen[function.__name__] = set(earned)
    assert all(0 <= value <= reward.maximum for value in totals)
    # The generator is no straw man: it makes answers that are paid, in every part, and such as are not.
    assert all(len(values) > 1 for values in seen.values()), seen


def test_the_maxima_are_the_methods():
    assert {name: REWARDS[name].maximum for name in ("seg-zero", "vision-reasoner", "remote-reasoner")} == {
        "seg-zero": 5,
        "vision-reasoner": 7,
        "remote-reasoner": 3,
    }
