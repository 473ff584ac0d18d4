"""Data of one's own: tables of questions in three forms, and COCO files, with or without texts."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.query_files import Query, read_queries
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle
from tests.data.make_custom import HERE, make
from tests.data.make_earthreason import target
from tests.datasets.reading import DatasetTables, read_tables, rejects, samples

TABLES = ["questions.csv", "questions.jsonl", "questions.parquet"]


def table(name: str, split: str = "test") -> CustomTable:
    return CustomTable(HERE / "images", HERE / "masks", HERE / name, split)


def read(reader: CustomTable | CustomCoco, split: str = "test") -> DatasetTables:
    return read_tables("mine", HERE, split, reader=reader)


@pytest.mark.parametrize("name", TABLES)
def test_the_three_forms_of_a_table_are_the_same_data(name):
    tables = read(table(name))
    found = samples(tables)
    assert {key: row["questions"] for key, row in found.items()} == {
        "a": ["Where could a plane land?", "Où, en français ?"],
        "a#2": ["Another target, of  two spaces"],
        "b": ["Where could a ship moor?"],
    }
    assert {key: row["is_empty"] for key, row in found.items()} == {"a": False, "a#2": False, "b": True}
    assert np.array_equal(masks.decode(Rle.from_arrow(found["a#2"]["mask"])), target())
    assert tables.images["file_name"].to_pylist() == ["images/a.png", "images/b.JPG"]
    assert [reason for _, reason in rejects(tables)] == ["missing_image", "unsafe_name", "blank_question"]


def test_rows_name_their_splits_and_the_others_get_the_one_that_is_given():
    reader = table("questions.csv")
    assert reader.splits(HERE) == ["val", "test"]
    assert list(samples(read(reader, "val"))) == ["b"]


def test_rejects_name_the_line_as_an_editor_shows_it():
    where = [source for source, _ in rejects(read(table("questions.csv")))]
    assert where == ["questions.csv:7", "questions.csv:8", "questions.csv:9"]


def test_a_coco_file_gives_a_sample_a_text_and_else_one_an_image_and_category():
    tables = read(CustomCoco(HERE / "images", HERE / "instances.json", "test"))
    found = samples(tables)
    assert {key: (row["questions"], row["category"]) for key, row in found.items()} == {
        "3": (["the ship at the quay"], "ship"),
        "4": (["Which one?", "Which?"], "ship"),
        "a-airplane": (["airplane"], "airplane"),
        "b-airplane": (["airplane"], "airplane"),
    }
    corner = target()
    corner[0:2, 0:2] = True
    assert np.array_equal(masks.decode(Rle.from_arrow(found["a-airplane"]["mask"])), corner)
    assert rejects(tables) == [
        ("instances.json#annotation=5", "missing_image"),
        ("instances.json#annotations[5]", "blank_question"),
        ("instances.json#image=3", "no_annotation"),
    ]


def test_the_script_makes_the_tree_that_is_checked_in(tmp_path):
    make(tmp_path)
    for name in TABLES:
        reader = CustomTable(tmp_path / "images", tmp_path / "masks", tmp_path / name, "test")
        assert read_tables("mine", tmp_path, "test", reader=reader).samples.equals(read(table(name)).samples)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.csv", b"", "no column image and no column question. Its columns: none"),
        ("q.csv", b"picture,question\n", "no column image. Its columns: picture, question"),
        ("q.parquet", b"PAR1", "cannot be read as a Parquet file"),
        ("q.xlsx", b"PK", "none of the endings .csv, .jsonl"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        list(read_queries(tmp_path / name))
    with pytest.raises(InputError, match="There is no file"):
        list(read_queries(tmp_path / "gone.csv"))


@pytest.mark.parametrize(
    ("name", "content", "reasons"),
    [
        ("q.csv", b"image,question\na.png,ok\na.png\n", ["invalid_row"]),
        ("q.csv", b'image,question\na.png,"ok\nand more"\na.png,"x"y\na.png,after\n', ["invalid_row"]),
        ("q.csv", b"image,question\na.png,caf\xe9\n,none\n", ["invalid_text", "invalid_row"]),
        ("q.jsonl", b'{"image": "a.png", "question": 7}\n[]\nx\n{"image": "a.png"}\n', ["invalid_row"] * 4),
        ("q.jsonl", b'{"image": "a.png", "question": ["one", "two"]}\n', []),
        ("q.jsonl", b'{"image": "a.png", "question": "\\ud800"}\n' + b"[" * 100_000 + b"\n", ["invalid_row"] * 2),
    ],
)
def test_a_row_that_cannot_be_read_is_one_reject_and_the_next_is_read(tmp_path, name, content, reasons):
    (tmp_path / name).write_bytes(content)
    entries = list(read_queries(tmp_path / name))
    assert [entry.reason for entry in entries if isinstance(entry, RejectRecord)] == reasons
    questions = [entry.questions for entry in entries if isinstance(entry, Query)]
    if name == "q.jsonl" and not reasons:
        assert questions == [("one", "two")]


def test_a_sample_that_contradicts_itself_is_told(tmp_path):
    rows = [
        {"image": "a.png", "mask": "a.png", "question": "one", "sample_id": "s"},
        {"image": "a.png", "mask": "a2.png", "question": "two", "sample_id": "s"},
        {"image": "a.png", "mask": "a.png", "question": "three", "sample_id": "s"},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tables = read(replace(table("questions.csv"), queries=tmp_path / "q.jsonl"))
    assert samples(tables)["s"]["questions"] == ["one", "three"]
    assert rejects(tables) == [("q.jsonl:2", "contradiction")]


def test_without_a_mask_column_the_mask_is_called_as_the_image(tmp_path):
    pq.write_table(pa.table({"image": ["a.png", "b.jpg"], "question": [["x", "y"], ["z"]]}), tmp_path / "q.parquet")
    tables = read(replace(table("questions.csv"), queries=tmp_path / "q.parquet"))
    assert {key: row["questions"] for key, row in samples(tables).items()} == {"a": ["x", "y"], "b": ["z"]}


def test_a_split_of_another_name_is_a_reject_not_a_loss(tmp_path):
    (tmp_path / "q.csv").write_text("image,question,split\na.png,x,testA\na.png,y,Validation\n,z,\n")
    reader = replace(table("questions.csv"), queries=tmp_path / "q.csv")
    assert reader.splits(HERE) == ["val"]  # rows of no split are told with the first split that is read
    tables = read(reader, "val")
    assert rejects(tables) == [("q.csv:2", "invalid_row"), ("q.csv:4", "invalid_row")]
    assert samples(tables)["a"]["questions"] == ["y"]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).map(str.strip)


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT.filter(bool)), max_size=6))
def test_any_csv_that_python_writes_is_read_as_it_was_meant(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "q.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question"])
        writer.writerows(rows)
    assert [(entry.image, entry.questions[0]) for entry in read_queries(path)] == rows


def test_missing_folders_are_one_sentence(tmp_path):
    shutil.copytree(HERE, tmp_path / "copy")
    reader = CustomTable(tmp_path / "none", tmp_path / "copy" / "masks", tmp_path / "copy" / "questions.csv", "test")
    with pytest.raises(InputError, match="none is missing: give the folder of the images with --images"):
        reader.sources(Path("/"), "test")
