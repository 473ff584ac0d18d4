"""Masks and texts of other projects: every form is read alike, and whatever is not used is counted."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, read_partition, write_partition
from t2s_pipeline.steps.external.score import ForeignAnswers, score_foreign
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.mask_type import RLE_TYPE
from tests.evaluation.tables import rectangle, samples
from tests.stand_in_worker import StandIn

PLACE = {"dataset": "earthreason", "split": "val"}
TOP = rectangle(4, 8, slice(0, 2), slice(0, 8))  # 16 of 32 pixels, wide
LEFT = rectangle(4, 8, slice(0, 4), slice(0, 4))  # 16 pixels, 8 of them in TOP
EMPTY = np.zeros((4, 8), bool)
SPLIT = samples(a=(TOP, 3), b=TOP, none=EMPTY)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(tmp_path / "home", tmp_path / "python")
    write_partition(found.lake, schema.SAMPLES, PLACE, SPLIT, "f")
    rows = [
        {
            "image_id": image_id,
            "file_name": f"val/images/{name}.png",
            "width": 8,
            "height": 4,
            "sha256": "",
            "bytes": b"",
        }
        for image_id, name in zip(SPLIT["image_id"].to_pylist(), ("a", "b", "none"), strict=True)
    ]
    write_partition(found.lake, schema.IMAGES, PLACE, pa.Table.from_pylist(rows, schema=schema.IMAGES.schema), "f")
    return found


def steps(settings: Settings) -> Runner:
    return Runner(settings, StandIn(settings), lambda _: None)


def score(settings: Settings, path: Path, name: str = "lisa", **options) -> dict[str, dict]:
    """Score, and return benchmark_metrics by protocol."""
    score_foreign(steps(settings), ForeignAnswers(name, path, "earthreason", "val", **options))
    rows = read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    return {row["protocol"]: row for row in rows if row["system"] == name}


def rejects(settings: Settings, name: str = "lisa") -> list[tuple[str, str | None]]:
    found = read_partition(settings.lake, schema.PREDICTION_REJECTS, {**PLACE, "system": name}).to_pylist()
    return sorted(((row["reason"], row["sample_id"]) for row in found), key=str)


def predicted(settings: Settings, name: str = "lisa") -> dict[tuple[str, int], dict]:
    where = {**PLACE, "system": name, "segmenter": "elsewhere"}
    rows = read_partition(settings.lake, schema.PREDICTIONS, where).to_pylist()
    return {(row["sample_id"], row["question_index"]): row for row in rows}


def png(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def rle(mask: np.ndarray, plain: bool = False) -> dict:
    """COCO's two ways of writing run lengths."""
    found = masks.encode(mask)
    counts = masks.run_lengths(found.counts).tolist() if plain else found.counts
    return {"size": [found.height, found.width], "counts": counts}


def folder(place: Path, **given: np.ndarray) -> Path:
    for name, mask in given.items():
        png(place / f"{name}.png", mask)
    return place


def coco(place: Path, **given: np.ndarray) -> Path:
    path = place.with_suffix(".json")
    entries = [
        {"sample_id": name, "segmentation": rle(mask, plain=bool(k % 2)) if mask.any() else None, "score": 0.5}
        for k, (name, mask) in enumerate(given.items())
    ]
    path.write_text(json.dumps(entries))
    return path


def parquet(place: Path, **given: np.ndarray) -> Path:
    path = place.with_suffix(".parquet")
    rows = {"sample_id": list(given), "mask": [masks.encode(mask).as_arrow() for mask in given.values()]}
    pq.write_table(pa.table(rows, schema=pa.schema([("sample_id", pa.string()), ("mask", RLE_TYPE)])), path)
    return path


@pytest.mark.parametrize("written", [folder, coco, parquet])
def test_every_form_gives_the_same_scores_worked_by_hand(settings, tmp_path, written):
    found = score(settings, written(tmp_path / "theirs", a=TOP, b=LEFT, none=EMPTY))
    # IoU: a 16/16, b 8 of 16 + 16 - 8 = 24, none 1 for an empty mask
    for row in found.values():
        assert (row["n"], row["answers"]) == (3, 3)
        assert row["giou"] == pytest.approx(100 * (1 + 8 / 24 + 1) / 3)
        assert (row["rejection_true"], row["rejection_false"]) == (1, 0)
    assert found["strict"]["ciou"] == pytest.approx(100 * (16 + 8) / (16 + 24))
    assert rejects(settings) == []
    assert predicted(settings)["none", 0]["status"] == "rejected"


@pytest.mark.parametrize("written", [folder, coco, parquet])
def test_masks_of_the_resized_square_are_brought_back_and_settle_its_side(settings, tmp_path, written):
    square = {name: masks.nearest(mask, 16, 16) for name, mask in (("a", TOP), ("b", LEFT), ("none", EMPTY))}
    found = score(settings, written(tmp_path / "theirs", **square))
    assert found["strict"]["giou"] == found["reference"]["giou"] == pytest.approx(100 * (1 + 8 / 24 + 1) / 3)
    row = predicted(settings)["b", 0]
    assert row["side"] == 16
    assert np.array_equal(masks.decode(masks.Rle.from_arrow(row["mask"])), LEFT)


def test_native_masks_meet_the_paper_s_square_unless_a_side_is_given(settings, tmp_path):
    path = folder(tmp_path / "theirs", a=TOP)
    score(settings, path)
    assert predicted(settings)["a", 0]["side"] == 840
    score(settings, path, side=32)
    assert predicted(settings)["a", 0]["side"] == 32


def test_missing_surplus_and_unreadable_ones_are_counted_and_the_rest_is_scored(settings, tmp_path):
    path = folder(tmp_path / "theirs", a=TOP, stranger=TOP)
    (path / "b.png").write_bytes(b"not a picture")
    found = score(settings, path)
    assert rejects(settings) == [
        ("corrupt_label", "b"), ("missing", "b"), ("missing", "none"), ("surplus", "stranger"),
    ]  # fmt: skip
    # b and none have no answer and score 0; none is no correct rejection
    assert found["strict"]["giou"] == pytest.approx(100 / 3)
    assert found["strict"]["rejection_false"] == 1


def test_a_mask_may_say_which_question_it_answers(settings, tmp_path):
    place = tmp_path / "theirs"
    png(place / "a" / "0.png", TOP)
    png(place / "a" / "2.png", EMPTY)
    png(place / "a" / "9.png", TOP)
    found = score(settings, folder(place, b=TOP, none=EMPTY))
    assert set(predicted(settings)) == {("a", 0), ("a", 2), ("b", 0), ("none", 0)}
    assert rejects(settings) == [("surplus", "a")]
    assert found["strict"]["giou"] == pytest.approx(100 * ((1 + 0) / 2 + 1 + 1) / 3)


def test_instances_of_one_sample_are_united_and_polygons_are_rendered(settings, tmp_path):
    left, right = TOP.copy(), TOP.copy()
    left[:, 4:], right[:, :4] = False, False
    box = [0, 0, 8, 0, 8, 2, 0, 2]
    entries = [
        {"image_id": "a", "segmentation": rle(left)},
        {"image_id": "a", "segmentation": rle(right)},
        {"image_id": "b", "segmentation": [box]},
        {"image_id": "none", "segmentation": None},
        {"image_id": 7},
        "nonsense",
        {"sample_id": "b", "segmentation": {"size": [4, 8], "counts": [99]}, "question_index": 0},
    ]
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"annotations": entries}))
    found = score(settings, path)
    assert found["strict"]["giou"] == pytest.approx(100.0)
    assert [reason for reason, _ in rejects(settings)] == ["invalid_mask", "no_result", "no_result"]


def test_a_second_mask_for_the_same_question_is_set_aside(settings, tmp_path):
    rows = {"sample_id": ["a", "a"], "mask": [masks.encode(mask).as_arrow() for mask in (TOP, LEFT)]}
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.table(rows), path)
    score(settings, path)
    assert ("twice", "a") in rejects(settings)
    assert np.array_equal(masks.decode(masks.Rle.from_arrow(predicted(settings)["a", 0]["mask"])), TOP)


def test_scoring_again_replaces_and_the_same_again_changes_nothing(settings, tmp_path):
    path = folder(tmp_path / "theirs", a=TOP)
    score(settings, path)
    again = score_foreign(steps(settings), ForeignAnswers("lisa", path, "earthreason", "val"))
    assert all(report.skipped for report in again)
    png(path / "a.png", LEFT)
    assert score(settings, path)["strict"]["giou"] == pytest.approx(100 * (8 / 24) / 3)


@pytest.mark.parametrize("name", ["think2seg-mini", "think2seg-mini-seed3", "zero-shot-mini", "Lisa", "a--b", "../x"])
def test_a_name_of_ours_or_no_name_is_refused(settings, tmp_path, name):
    with pytest.raises(InputError, match="name"):
        score(settings, folder(tmp_path / "theirs", a=TOP), name)
    assert list_partitions(settings.lake, schema.PREDICTIONS) == []


def spoilt(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"theirs.{kind}"
    path.write_bytes(b'{"images": []}' if kind == "json" else b"nothing")
    return path


@pytest.mark.parametrize("kind", ["json", "parquet", "txt"])
def test_what_is_none_of_the_forms_is_one_sentence(settings, tmp_path, kind):
    with pytest.raises(InputError):
        score(settings, spoilt(tmp_path, kind))
    with pytest.raises(InputError):
        score(settings, tmp_path)  # a folder without PNG files


def test_nothing_that_belongs_to_the_split_is_an_error_and_so_is_a_split_that_was_never_read(settings, tmp_path):
    path = folder(tmp_path / "theirs", stranger=TOP)
    with pytest.raises(InputError, match=r"nothing belongs to earthreason-val .* surplus"):
        score(settings, path)
    with pytest.raises(NotMaterializedError):
        score_foreign(steps(settings), ForeignAnswers("lisa", path, "earthreason", "test"))


def geo_results(tmp_path: Path, *entries: tuple[str, str, str]) -> Path:
    path = tmp_path / "geo_results.json"
    results = [
        {"sample_id": k, "image_path": image, "question": prompt, "model_output": text, "mask_iou_reward": 0.5}
        for k, (image, prompt, text) in enumerate(entries)
    ]
    path.write_text(json.dumps({"giou": 0.5, "ciou": 0.5, "results": results}))
    return path


def test_the_authors_texts_become_completions_that_we_segment(settings, tmp_path):
    path = geo_results(
        tmp_path,
        (
            "/data/EarthReason/val/images/b.png",
            'Please answer "Question 0?" in JSON',
            "<think></think><answer>[]</answer>",
        ),
        ("/data/EarthReason/val/images/a.png", "Please answer  question 2?", "two"),
        ("C:\\data\\a.png", "something else", "lost"),
        ("/data/stranger.png", "Question 0?", "nobody's"),
        ("/data/none.png", "the only question there is", "no target"),
        ("/data/none.png", "Question 0?", "said twice"),
    )
    worker = StandIn(settings)
    score_foreign(
        Runner(settings, worker, lambda _: None),
        ForeignAnswers("authors-3b", path, "earthreason", "val", side=168, answers_as="think2seg-mini"),
    )
    texts = read_partition(settings.lake, schema.COMPLETIONS, {**PLACE, "system": "authors-3b"}).to_pylist()
    assert {(row["sample_id"], row["question_index"]): row["text"] for row in texts} == {
        ("a", 2): "two",
        ("b", 0): "<think></think><answer>[]</answer>",
        ("none", 0): "no target",
    }
    assert json.loads(texts[0]["settings"]) == {"schema": "bbox+pos2", "side": 168, "source": "geo_results.json"}
    assert rejects(settings, "authors-3b") == [("question_not_found", None), ("surplus", None), ("twice", "none")]
    assert worker.calls == [("segment", "authors-3b", "val")]
    rows = read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    assert {row["system"] for row in rows} == {"authors-3b"}
