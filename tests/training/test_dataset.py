"""The order of a run is decided once, from its seed, and every image is read and resized once."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.lake.schema import IMAGES, PSEUDO_LABELS, SAMPLES
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS
from t2s_pipeline.pseudo_labels.table import label_samples
from t2s_pipeline.training.dataset import Squares, prompt_order, read_samples
from t2s_pipeline.vision.pictures import decode_image

TRAIN = {"dataset": "synthetic", "split": "train"}


def square(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image).resize((56, 56))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=6, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    return home / "lake"


@given(
    questions=st.lists(st.integers(1, 6), min_size=1, max_size=20),
    length=st.integers(0, 80),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_every_pass_sees_every_sample_once(questions: list[int], length: int, seed: int):
    order = prompt_order(questions, length, seed)
    assert len(order) == length
    for start in range(0, length, len(questions)):
        one_pass = [draw.sample for draw in order[start : start + len(questions)]]
        assert len(set(one_pass)) == len(one_pass)
    assert all(0 <= draw.question < questions[draw.sample] for draw in order)


@given(seed=st.integers(0, 1000), shorter=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_a_longer_run_begins_as_a_shorter_one(seed: int, shorter: int):
    counts = [3, 1, 2, 5, 4]
    assert prompt_order(counts, 50, seed)[:shorter] == prompt_order(counts, shorter, seed)


def test_seeds_and_passes_differ_and_questions_are_chosen_evenly():
    order = prompt_order([4] * 50, 5000, 0)
    assert order != prompt_order([4] * 50, 5000, 1)
    assert order[:50] != order[50:100]
    counts = Counter(draw.question for draw in order)
    # 5,000 draws of 4: the standard deviation of a count is about 31.
    assert all(abs(counts[question] - 1250) < 150 for question in range(4))


def test_samples_come_sorted_with_all_their_questions(lake: Path):
    samples = read_samples(lake, "synthetic")
    assert [sample.sample_id for sample in samples] == sorted(sample.sample_id for sample in samples)
    assert len(samples) == 6 and all(len(sample.questions) > 1 for sample in samples)


def test_a_dataset_that_is_not_there_is_named(lake: Path, tmp_path: Path):
    with pytest.raises(NotMaterializedError, match="earthreason"):
        read_samples(lake, "earthreason")
    rows = read_partition(lake, SAMPLES, TRAIN)
    write_partition(tmp_path, SAMPLES, TRAIN, rows.slice(0, 0))
    with pytest.raises(InputError, match="no sample with a question"):
        read_samples(tmp_path, "synthetic")


def test_squares_hold_each_image_once_at_the_prompters_size(lake: Path, tmp_path: Path):
    wanted = [sample.image_id for sample in read_samples(lake, "synthetic")][:4]
    squares = Squares(tmp_path / "squares.npy", 56, wanted)
    assert list(squares.fill(lake, "synthetic", square)) == [1, 2, 3, 4]
    images = read_partition(lake, IMAGES, TRAIN, ["image_id", "bytes"]).to_pylist()
    original = next(row["bytes"] for row in images if row["image_id"] == wanted[2])
    assert np.array_equal(squares[wanted[2]], np.asarray(square(decode_image(original))))
    assert (squares[wanted[0]].shape, squares[wanted[0]].dtype) == ((56, 56, 3), np.uint8)


def test_an_image_that_samples_name_and_images_lack_is_named(lake: Path, tmp_path: Path):
    squares = Squares(tmp_path / "squares.npy", 56, ["no-such-image"])
    with pytest.raises(InputError, match="no-such-image"):
        list(squares.fill(lake, "synthetic", square))


def test_labels_come_along_and_a_target_without_one_is_left_out(lake: Path, tmp_path: Path):
    shutil.copytree(lake, tmp_path / "lake")
    samples = read_partition(lake, SAMPLES, TRAIN)
    where = {"method": "seg-zero", **TRAIN}
    with pytest.raises(NotMaterializedError, match="pseudo_labels"):
        read_samples(tmp_path / "lake", "synthetic", "seg-zero")
    rows = label_samples(samples, LABELLINGS["seg-zero"])
    write_partition(tmp_path / "lake", PSEUDO_LABELS, where, rows)
    labelled = read_samples(tmp_path / "lake", "synthetic", "seg-zero")
    assert [sample.sample_id for sample in labelled] == [s.sample_id for s in read_samples(lake, "synthetic")]
    empty = dict(zip(samples["sample_id"].to_pylist(), samples["is_empty"].to_pylist(), strict=True))
    assert all(len(sample.labels) == (not empty[sample.sample_id]) for sample in labelled)
    # One target loses its label: it could not be told from an empty one.
    write_partition(tmp_path / "lake", PSEUDO_LABELS, where, rows.slice(1))
    lost = rows["sample_id"][0].as_py()
    kept = read_samples(tmp_path / "lake", "synthetic", "seg-zero")
    assert {s.sample_id for s in labelled} - {s.sample_id for s in kept} == {lost}
