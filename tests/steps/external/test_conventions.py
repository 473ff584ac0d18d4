"""The conventions of other projects' masks: read rightly where it can be told, else a counted reject or a warning."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake import schema
from t2s_pipeline.steps.external.answers import match_answers
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, MaskOptions, PredictionReject
from t2s_pipeline.steps.external.masks import read_masks
from t2s_pipeline.steps.external.predictions import match_masks
from t2s_pipeline.vision import masks
from tests.evaluation.tables import samples

HEIGHT, WIDTH = 30, 50


def disc(
    height: int = HEIGHT, width: int = WIDTH, row: float = 12, column: float = 30, radius: float = 8
) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2) & (columns > 24)


DISC = disc()
SIZES = {"a": (HEIGHT, WIDTH), "b": (HEIGHT, WIDTH)}


def counts_of(mask: np.ndarray) -> str:
    return masks.encode(mask).counts


def runs_of(mask: np.ndarray) -> list[int]:
    return masks.run_lengths(counts_of(mask)).tolist()


def read_json(tmp_path: Path, entries: list, options: MaskOptions | None = None) -> list:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(entries))
    return list(read_masks(path, SIZES, options))


def pixels(one: ForeignMask | PredictionReject) -> np.ndarray:
    assert isinstance(one, ForeignMask) and one.mask is not None, one
    return masks.decode(one.mask)


FORMS = {
    "compressed": {"size": [HEIGHT, WIDTH], "counts": counts_of(DISC)},
    "str(bytes)": {"size": [HEIGHT, WIDTH], "counts": str(counts_of(DISC).encode())},
    "plain": {"size": [HEIGHT, WIDTH], "counts": runs_of(DISC)},
    "real numbers": {"size": [float(HEIGHT), float(WIDTH)], "counts": [float(run) for run in runs_of(DISC)]},
    "list as text": {"size": [HEIGHT, WIDTH], "counts": json.dumps(runs_of(DISC))},
    "height and width": {"height": HEIGHT, "width": WIDTH, "counts": counts_of(DISC)},
    "text": json.dumps({"size": [HEIGHT, WIDTH], "counts": counts_of(DISC)}),
    "transposed": {"size": [WIDTH, HEIGHT], "counts": counts_of(DISC.T)},
    "sides exchanged": {"size": [WIDTH, HEIGHT], "counts": counts_of(DISC)},
    "row order": {"size": [HEIGHT, WIDTH], "counts": runs_of(DISC.ravel().reshape(WIDTH, HEIGHT).T)},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_run_lengths_gives_the_same_mask(tmp_path, form):
    (one,) = read_json(tmp_path, [{"sample_id": "a", "segmentation": FORMS[form]}])
    assert np.array_equal(pixels(one), DISC)
    assert (one.note is not None) == (form in ("transposed", "sides exchanged", "row order"))


STRUCTS = {
    "size and bytes": {"size": [HEIGHT, WIDTH], "counts": counts_of(DISC).encode()},
    "size and list": {"size": [HEIGHT, WIDTH], "counts": runs_of(DISC)},
    "height and width": masks.encode(DISC).as_arrow(),
    "text": json.dumps({"size": [HEIGHT, WIDTH], "counts": counts_of(DISC)}),
    "bytes of text": json.dumps({"size": [HEIGHT, WIDTH], "counts": counts_of(DISC)}).encode(),
    "polygon": [[10.0, 5.0, 20.0, 5.0, 20.0, 15.0, 10.0, 15.0]],
}


@pytest.mark.parametrize("form", STRUCTS)
def test_a_parquet_column_can_hold_every_form(tmp_path, form):
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.table({"sample_id": ["a"], "mask": [STRUCTS[form]]}), path)
    (one,) = read_masks(path, SIZES)
    expected = np.zeros_like(DISC)
    expected[5:15, 10:20] = True
    assert np.array_equal(pixels(one), expected if form == "polygon" else DISC)


@given(st.binary(max_size=30) | st.text(max_size=30))
def test_any_counts_are_a_mask_or_a_reject(tmp_path_factory, counts):
    text = counts if isinstance(counts, str) else str(counts)
    for one in read_json(
        tmp_path_factory.mktemp("any"), [{"sample_id": "a", "segmentation": {"size": [2, 3], "counts": text}}]
    ):
        assert isinstance(one, PredictionReject) or pixels(one).shape == (2, 3)


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path, **({"quality": 90} if path.suffix == ".jpg" else {}))
    return path.parent


SOFT = np.clip(255 * np.exp(-(((np.mgrid[:HEIGHT, :WIDTH] - [[[15]], [[25]]]) ** 2).sum(0)) / 60), 0, 255)
VALUES = {
    "0 and 1": (DISC.astype(np.uint8), DISC, False),
    "0 and 255": (DISC.astype(np.uint8) * 255, DISC, False),
    "boolean": (DISC, DISC, False),
    "probabilities of 8 bits": (SOFT.astype(np.uint8), SOFT.astype(np.uint8) > 127, True),
    "objects": (DISC.astype(np.uint8) * 3 + (SOFT > 200) * np.uint8(4), DISC | (SOFT > 200), True),
    "probabilities": ((SOFT / 255).astype(np.float32), SOFT / 255 > 0.5, True),
    "logits": ((SOFT / 50 - 2).astype(np.float32), SOFT / 50 - 2 > 0, True),
    "not a number": (np.where(DISC, 1.0, np.nan).astype(np.float32), DISC, False),
}


@pytest.mark.parametrize("ending", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("kind", VALUES)
def test_hard_and_soft_masks_are_told_apart(tmp_path, kind, ending):
    values, expected, noted = VALUES[kind]
    if ending == ".png" and values.dtype == np.float32:
        return  # PNG has no real numbers
    (one,) = read_masks(save(tmp_path / "m" / f"a{ending}", values), SIZES)
    assert np.array_equal(pixels(one), expected)
    assert (one.note is not None) == noted


def test_a_jpeg_mask_loses_its_noise(tmp_path):
    (one,) = read_masks(save(tmp_path / "m" / "a.jpg", DISC.astype(np.uint8) * 255), SIZES)
    assert np.count_nonzero(pixels(one) != DISC) <= 8 and one.note is not None


def test_a_threshold_decides_and_unclear_values_ask_for_one(tmp_path):
    folder = save(tmp_path / "m" / "a.npy", SOFT)
    (one,) = read_masks(folder, SIZES)
    assert isinstance(one, PredictionReject) and "give --threshold" in one.detail
    (one,) = read_masks(folder, SIZES, MaskOptions(threshold=100))
    assert np.array_equal(pixels(one), SOFT > 100)


def test_files_that_are_no_masks_are_counted(tmp_path):
    folder = save(tmp_path / "m" / "a.png", DISC)
    (folder / "b.npz").write_bytes(b"")
    np.save(folder / "b.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / ".hidden.png").write_bytes(b"")
    save(folder / "b.png", DISC.T)
    reasons = [one.reason for one in read_masks(folder, SIZES) if isinstance(one, PredictionReject)]
    assert reasons == ["invalid_mask", "other_file", "sides_exchanged"]


@pytest.mark.parametrize("name", ["a/{}", "a_{}", "a-{}"])
def test_numbered_files_are_questions_or_with_a_setting_objects(tmp_path, name):
    left, right = DISC.copy(), DISC.copy()
    left[:, 30:], right[:, :30] = False, False
    for number, part in enumerate((left, right)):
        save(tmp_path / "m" / f"{name.format(number)}.png", part)
    folder = tmp_path / "m"
    assert [one.question_index for one in read_masks(folder, SIZES)] == [0, 1]
    (one,) = read_masks(folder, SIZES, MaskOptions(objects=True))
    assert (one.sample_id, one.question_index) == ("a", None)
    assert np.array_equal(pixels(one), DISC)


def entry(sample_id: str, mask: np.ndarray, score: float) -> dict:
    return {
        "sample_id": sample_id,
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts_of(mask)},
        "score": score,
    }


def test_detections_count_from_a_score_on(tmp_path):
    other = disc(row=20, column=40, radius=5)
    detections = [entry("a", DISC, 0.9), entry("a", other, 0.2), entry("b", other, 0.1)]
    first, second, a, b = read_json(tmp_path, detections)
    assert [(one.reason, one.sample_id) for one in (first, second)] == [("low_score", "a"), ("low_score", "b")]
    assert np.array_equal(pixels(a), DISC) and b.mask is None
    (a, b) = read_json(tmp_path, detections, MaskOptions(min_score=0.05))
    assert np.array_equal(pixels(a), DISC | other)


def test_one_scored_entry_per_answer_is_the_answer_whatever_its_score(tmp_path):
    (a, b) = read_json(tmp_path, [entry("a", DISC, 0.1), entry("b", DISC, 0.2)])
    assert np.array_equal(pixels(a), DISC) and np.array_equal(pixels(b), DISC)


def test_scores_that_are_no_shares_ask_for_a_setting(tmp_path):
    with pytest.raises(InputError, match=r"scores from -3 to 12: give --min-score"):
        read_json(tmp_path, [entry("a", DISC, -3), entry("a", DISC, 12)])


def test_a_box_without_a_mask_is_told_as_such(tmp_path):
    (one,) = read_json(tmp_path, [{"sample_id": "a", "bbox": [0, 0, 3, 3], "score": 0.9}])
    assert (one.reason, one.detail) == ("no_result", "it has a box without a segmentation")


def test_square_masks_that_look_transposed_are_a_warning_and_stay_as_they_are():
    """Nothing in a square mask tells the order of its pixels; the truth does, and it must not decide an answer."""
    truths = {f"s{number}": disc(40, 40, row=8 + number % 3, column=30) for number in range(12)}
    split = samples(**truths)
    plain = [ForeignMask("", name, 0, masks.encode(mask)) for name, mask in truths.items()]
    transposed = [ForeignMask("", name, 0, masks.encode(mask.T)) for name, mask in truths.items()]
    assert match_masks(plain, split).notes == ()
    matched = match_masks(transposed, split)
    assert "WARNING: with rows and columns exchanged" in matched.notes[0]
    stored = matched.predictions["mask"].to_pylist()[0]
    assert np.array_equal(masks.decode(masks.Rle.from_arrow(stored)), truths["s0"].T)


def test_two_targets_with_one_sentence_are_not_confused():
    split = samples(one=DISC, two=DISC)
    split = split.set_column(split.schema.get_field_index("image_id"), "image_id", pa.array(["i", "i"]))
    split = split.set_column(
        split.schema.get_field_index("questions"), "questions", pa.array([["the ship", "the left ship"], ["the ship"]])
    )
    images = pa.table({"image_id": ["i"], "file_name": ["i.png"]})
    results = [
        {"image_path": "i.png", "question": "Find the ship.", "model_output": "first"},
        {"image_path": "i.png", "question": "Find the left ship.", "model_output": "second"},
    ]
    matched = match_answers({"results": results}, split, images, "bbox", 840, "geo_results.json")
    assert matched.completions["text"].to_pylist() == ["second"]
    rejects = {row["reason"]: row["detail"] for row in matched.rejects.to_pylist()}
    assert rejects["ambiguous_question"] == "2 targets of image i are asked for with this sentence"
    assert rejects.keys() == {"ambiguous_question", "missing"}


def test_one_sentence_twice_in_a_sample_takes_both_answers():
    split = samples(one=DISC)
    split = split.set_column(
        split.schema.get_field_index("questions"), "questions", pa.array([["the ship", "the ship"]])
    )
    images = pa.table({"image_id": [split["image_id"][0].as_py()], "file_name": ["i.png"]})
    results = [
        {"image_path": "i.png", "question": "the ship", "model_output": text} for text in ("first", "second", "x")
    ]
    matched = match_answers({"results": results}, split, images, "bbox", 840, "geo_results.json")
    assert matched.completions["text"].to_pylist() == ["first", "second"]
    assert matched.rejects["reason"].to_pylist() == ["twice"]
    assert matched.completions.schema == schema.COMPLETIONS.schema
