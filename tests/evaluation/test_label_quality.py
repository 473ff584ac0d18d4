"""The upper limit of labels: their prompts and scores, and that the search never gives worse prompts than its start."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.evaluation import label_quality  # noqa: E402
from t2s_pipeline.evaluation.label_quality import COMBINATIONS, judge_labels  # noqa: E402
from t2s_pipeline.evaluation.prompt_search import improved, variants  # noqa: E402
from t2s_pipeline.lake.schema import LABEL_QUALITY, PSEUDO_LABELS, SAMPLES  # noqa: E402
from t2s_pipeline.lake.store import read_partition, write_partition  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH, ideal_prompts  # noqa: E402
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS  # noqa: E402
from t2s_pipeline.pseudo_labels.table import label_samples  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.vision import masks  # noqa: E402
from t2s_pipeline.vision.geometry import Frame, PromptObject  # noqa: E402

PLACE = {"dataset": "real", "split": "test"}


@pytest.fixture
def judged(home, segmenter_file) -> dict[str, list[dict]]:
    """Rows of ``label_quality`` by method, of real scenes and a segmenter with random weights."""
    samples = read_partition(home / "lake", SAMPLES, PLACE)
    for method in LABELLINGS:
        rows = label_samples(samples, LABELLINGS[method])
        write_partition(home / "lake", PSEUDO_LABELS, {"method": method, **PLACE}, rows)
    name = f"sam2-mini@{segmenter_file}"
    kind = {"segmenter": load_segmenter(name).name}
    judge_labels(home, name, "real", "test", "f", NoProgress())
    return {
        method: read_partition(home / "lake", LABEL_QUALITY, {"method": method, **kind, **PLACE}).to_pylist()
        for method in (*LABELLINGS, SEARCH)
    }


def test_every_sample_is_judged_in_every_combination(home, judged):
    ids = set(read_partition(home / "lake", SAMPLES, PLACE)["sample_id"].to_pylist())
    for method, rows in judged.items():
        own = () if method == SEARCH else (method,)
        assert {(row["sample_id"], row["prompt_combination"]) for row in rows} == {
            (sample_id, name) for sample_id in ids for name in (*own, *COMBINATIONS)
        }
        for row in rows:
            assert 0 <= row["intersection"] <= row["union"]
            assert len(row["prompts"]) == row["objects"]


def test_what_is_fed_has_the_keys_and_counts_of_its_combination(judged):
    for rows in judged.values():
        for row in rows:
            if row["prompt_combination"] in COMBINATIONS and not row["gt_empty"]:
                combination = PROMPT_COMBINATIONS[row["prompt_combination"]]
                for prompt in row["prompts"]:
                    assert (prompt["bbox"] is not None) == combination.has_box
                    assert len(prompt["positive_points"]) == combination.positive_points
                    assert len(prompt["negative_points"]) in (0, combination.negative_points)


def test_an_empty_target_is_right_without_prompts_but_seg_zero_cannot_say_so(judged):
    empty = [(method, row) for method, rows in judged.items() for row in rows if row["gt_empty"]]
    assert empty
    for method, row in empty:
        assert row["objects"] == 0
        mute = method == "seg-zero" and row["prompt_combination"] == "seg-zero"
        assert row["iou"] == (0 if mute else 1)


def test_the_search_is_at_least_as_good_as_every_method(judged):
    for row in judged[SEARCH]:
        same = [
            other["iou"]
            for method in LABELLINGS
            for other in judged[method]
            if (other["sample_id"], other["prompt_combination"]) == (row["sample_id"], row["prompt_combination"])
        ]
        assert len(same) == 3 and row["iou"] >= max(same)


def test_remote_reasoner_is_fed_the_centre_of_each_box(judged):
    row = next(r for r in judged["remote-reasoner"] if r["prompt_combination"] == "remote-reasoner" and r["objects"])
    x0, y0, x1, y1 = row["prompts"][0]["bbox"]
    assert row["prompts"][0]["positive_points"] == [[(x0 + x1) / 2, (y0 + y1) / 2]]


def test_iou_is_what_the_stored_mask_has_with_the_truth(home, judged):
    truths = {row["sample_id"]: row["mask"] for row in read_partition(home / "lake", SAMPLES, PLACE).to_pylist()}
    for method in LABELLINGS:
        for row in judged[method]:
            if row["mask"] is not None and not row["gt_empty"]:
                pair = [masks.decode(masks.Rle.from_arrow(value)) for value in (row["mask"], truths[row["sample_id"]])]
                shared, either = masks.intersection_union(*pair)
                assert row["iou"] == pytest.approx(shared / either)


class Literal:
    """A segmenter whose mask is the pixels of the box, so that the best box is known."""

    def overlap(self, embedding, prompt_sets, truth, source):
        ys, xs = np.mgrid[: truth.shape[0], : truth.shape[1]]
        found = []
        for items in prompt_sets:
            mask = np.zeros(truth.shape, bool)
            for item in items:
                x0, y0, x1, y1 = item.moved(source, Frame(truth.shape[1], truth.shape[0])).bbox
                mask |= (x0 <= xs) & (xs < x1) & (y0 <= ys) & (ys < y1)
            found.append(masks.intersection_union(mask, truth))
        return found


def test_the_search_mends_a_box_and_leaves_out_an_object_that_is_none():
    truth = np.zeros((100, 100), bool)
    truth[20:60, 20:60] = True
    start = (PromptObject(bbox=(18.0, 18.0, 66.0, 62.0)), PromptObject(bbox=(80.0, 80.0, 90.0, 90.0)))
    best = improved(Literal(), None, start, truth, truth, rounds=3, seed=[0])
    assert len(best) == 1
    [(shared, either)] = Literal().overlap(None, [best], truth, Frame.square(100))
    [(before, whole)] = Literal().overlap(None, [start], truth, Frame.square(100))
    assert shared / either > before / whole + 0.1


def test_variants_stay_on_the_square_and_points_on_their_side_of_the_mask():
    square = np.zeros((50, 50), bool)
    square[:20, :20] = True
    item = PromptObject((0.0, 0.0, 20.0, 20.0), ((3.0, 3.0),), ((25.0, 25.0),))
    for other in variants(item, square, np.random.default_rng(0)):
        x0, y0, x1, y1 = other.bbox
        assert 0 <= x0 < x1 <= 50 and 0 <= y0 < y1 <= 50
        for x, y in other.positive_points:
            assert square[int(y), int(x)]
        assert other != item


def test_combinations_share_their_points_and_negative_ones_are_off_the_mask():
    square = np.zeros((80, 80), bool)
    square[10:50, 10:30] = square[10:30, 10:60] = True  # an L: its box holds what is not target
    found = ideal_prompts([square], square, [PROMPT_COMBINATIONS[name] for name in COMBINATIONS])
    four = found["bbox+pos4"][0].positive_points
    assert found["pos2"][0].positive_points == found["bbox+pos2"][0].positive_points == four[:2]
    assert len(set(four)) == 4 and all(square[int(y), int(x)] for x, y in four)
    negative = found["bbox+pos2+neg2"][0].negative_points
    assert len(negative) == 2 and not any(square[int(y), int(x)] for x, y in negative)


def test_a_large_image_is_searched_on_the_square(home, segmenter_file, monkeypatch):
    monkeypatch.setattr(label_quality, "MOST_SEARCHED", 10)
    samples = read_partition(home / "lake", SAMPLES, PLACE)
    for method in LABELLINGS:
        rows = label_samples(samples, LABELLINGS[method])
        write_partition(home / "lake", PSEUDO_LABELS, {"method": method, **PLACE}, rows)
    seen = []
    monkeypatch.setattr(
        label_quality, "improved", lambda segmenter, embedding, start, truth, *_: seen.append(truth.shape) or start
    )
    judge_labels(home, f"sam2-mini@{segmenter_file}", "real", "test", "f", NoProgress())
    assert set(seen) == {(840, 840)}
