"""RRSIS-D: every reference is a sample with all its sentences, or a reject that names it."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle
from tests.data.make_earthreason import target
from tests.data.make_rrsis_d import CATEGORIES, HERE, make
from tests.datasets.reading import DatasetTables, read_tables, rejects, samples


def read(split: str, root: Path = HERE) -> DatasetTables:
    return read_tables("rrsis-d", root, split)


@pytest.fixture(scope="module")
def train() -> DatasetTables:
    return read("train")


@pytest.mark.parametrize(
    ("ref_id", "what"),
    [
        (1, "compressed"),
        (2, "plain runs"),
        (3, "polygon"),
        (4, "flat polygon"),
        (5, "two parts"),
        (6, "ending in capitals"),
        (7, "CMYK"),
        (8, "turned"),
        (9, "sent only"),
    ],
)
def test_every_way_to_draw_a_mask_finds_the_same_target(train, ref_id, what):
    row = samples(train)[str(ref_id)]
    expected = np.rot90(target(), -1) if what == "turned" else target()
    assert np.array_equal(masks.decode(Rle.from_arrow(row["mask"])), expected), what
    assert row["category"] == CATEGORIES[ref_id % 3]


def test_every_sentence_is_kept_in_order_as_it_was_written(train):
    assert rejects(train) == [("refs(unc).p[24]", "invalid_reference")]  # of no split, told with the first
    read_back = samples(train)
    assert read_back["1"]["questions"] == ["The Ship at the quay", "the  vessel", "ein Schiff am Kai, 船"]
    assert read_back["9"]["questions"] == ["no raw text"]


def test_the_first_sentence_rule_is_a_selection_and_the_draw_too(train):
    rows = [row for row in train.selections.to_pylist() if row["sample_id"] == "1"]
    assert [(row["rule"], row["question_index"], row["published"]) for row in rows] == [
        ("by_hash", rows[0]["question_index"], False),
        ("first", 0, True),
    ]
    assert rows[0]["seed"] and not rows[1]["seed"]


def test_an_image_of_five_references_is_stored_once(train):
    assert train.images["image_id"].to_pylist() == ["00001", "00002", "00003", "00004"]
    assert [row["image_id"] for row in samples(train).values()].count("00001") == 5


def test_every_unusable_reference_is_set_aside_with_its_reason():
    tables = read("val")
    assert list(samples(tables)) == ["10"]
    by_ref = {source: reason for source, reason in rejects(tables)}
    first = 9  # references are counted from 0, and nine belong to train
    assert [by_ref[f"refs(unc).p[{first + n}]"] for n in range(1, 15)] == [
        "invalid_mask",
        "invalid_mask",
        "size_mismatch",
        "invalid_mask",
        "invalid_mask",
        "invalid_mask",
        "missing_annotation",
        "missing_image",
        "blank_question",
        "invalid_reference",
        "size_mismatch",
        "size_mismatch",
        "unsafe_name",
        "corrupt_image",
    ]
    assert len(by_ref) == 14


def test_a_reference_of_no_split_is_told_once():
    told = {split: [source for source, _ in rejects(read(split))] for split in ("train", "val", "test")}
    assert [split for split, sources in told.items() if "refs(unc).p[24]" in sources] == ["train"]


def test_the_script_makes_the_tree_that_is_checked_in(tmp_path):
    make(tmp_path)
    for split in ("train", "val", "test"):
        assert read(split, tmp_path).samples.equals(read(split).samples)
        assert rejects(read(split, tmp_path)) == rejects(read(split))


def test_it_is_found_below_extra_top_folders(tmp_path):
    shutil.copytree(HERE, tmp_path / "RRSIS-D" / "RRSIS-D")
    assert dataset_at("rrsis-d", tmp_path).root == tmp_path / "RRSIS-D" / "RRSIS-D"


@pytest.fixture
def copy(tmp_path) -> Path:
    shutil.copytree(HERE, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"images": []}', b'{"images": 1, "annotations": []}', b"\xff"])
def test_a_broken_annotation_file_is_one_sentence(copy, content):
    (copy / "rrsisd" / "instances.json").write_bytes(content)
    with pytest.raises(InputError, match=r"instances\.json"):
        read("val", copy)


def test_a_pickle_of_something_else_is_one_sentence(copy):
    (copy / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps({"refs": []}))
    with pytest.raises(InputError, match=r"refs\(unc\)\.p holds a dict: a list of references was expected"):
        read("val", copy)


@pytest.mark.parametrize(
    "change",
    [
        {"ref_id": [1]},
        {"ann_id": {}},
        {"image_id": None},
        {"sentences": [["x"]]},
        {"sentences": [{"raw": 7}]},
        {"sentences": []},
        {"split": ["val"]},
        {"category_id": [1]},
    ],
)
def test_a_field_of_another_type_is_a_reject_or_does_not_matter(copy, change):
    path = copy / "rrsisd" / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
    refs[-1] |= change
    path.write_bytes(pickle.dumps([refs[-1], "no reference at all"]))
    tables = [read(split, copy) for split in ("train", "val", "test")]
    found = sum(table.samples.num_rows + table.rejects.num_rows for table in tables)
    assert found == 2


def test_annotations_that_share_an_id_and_strange_categories_are_told_not_guessed(copy):
    path = copy / "rrsisd" / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"] += [content["annotations"][0], "no annotation", {"no": "id"}]
    content["annotations"][1]["category_id"] = {"a": 1}
    path.write_text(json.dumps(content))
    tables = read("train", copy)
    assert [reason for _, reason in rejects(tables)][:3] == ["invalid_entry"] * 3
    assert samples(tables)["2"]["category"] is None
