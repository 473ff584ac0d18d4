"""RISBench and RefSegRS: every line of a phrase file becomes a sample or a reject that names the line."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets import risbench as benchmark
from t2s_pipeline.datasets.index_rows import Row
from t2s_pipeline.datasets.phrases import _rows, phrase_files
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle
from tests.data.make_earthreason import file_of, label, picture, target
from tests.data.make_phrases import LARGEST, REFSEGRS, RISBENCH, Tree, make
from tests.datasets.reading import DatasetTables, read_tables, rejects, samples


def risbench(split: str) -> DatasetTables:
    return read_tables("risbench", RISBENCH, split)


@pytest.fixture(scope="module")
def train() -> DatasetTables:
    return risbench("train")


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "upper",
        "photo",
        "photo_long",
        "turned",
        "cmyk",
        "alpha",
        "sixteen_bits",
        "mask_1",
        "mask_l",
        "mask_p",
        "mask_rgb",
        "mask_rgba",
        "mask_i_16",
        "mask_of_0_and_255",
        "nothing_there",
        "plain_again",
    ],
)
def test_an_oddity_is_read_and_its_target_found(train, name):
    row = samples(train)[name]
    expected = {"turned": np.rot90(target(), -1), "nothing_there": np.zeros((12, 20), dtype=bool)}.get(name, target())
    assert np.array_equal(masks.decode(Rle.from_arrow(row["mask"])), expected)
    assert row["is_empty"] == (name == "nothing_there")
    image = next(image for image in train.images.to_pylist() if image["image_id"] == row["image_id"])
    # A picture of 16 bits is stored as the PNG that was made from it.
    assert (image["bytes"] == (RISBENCH / image["file_name"]).read_bytes()) == (name != "sixteen_bits")
    assert (image["height"], image["width"]) == expected.shape


def test_every_line_is_kept_in_order_as_it_was_written(train):
    lines = phrase_files(RISBENCH)["train"][0].read_text("utf-8-sig").splitlines()
    assert train.rejects.num_rows == 0
    assert train.samples.num_rows == sum(bool(line) for line in lines)
    read = {name: row["questions"] for name, row in samples(train).items()}
    assert read["plain"] == ["the roof"]
    assert read["plain#2"] == ["the  roof   of the   hall"]
    assert read["plain#3"] == ["la toiture près de l'étang, 屋顶"]


def test_an_image_of_several_lines_or_names_is_stored_once(train):
    ids = train.images["image_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert "plain_again" not in ids
    owners = {name: row["image_id"] for name, row in samples(train).items() if name.startswith("plain")}
    assert owners == dict.fromkeys(["plain", "plain#2", "plain#3", "plain_again"], "plain")
    hashes = train.images["sha256"].to_pylist()
    assert len(hashes) == len(set(hashes))


def test_what_macs_and_windows_leave_behind_is_no_image(train):
    assert not [name for name in train.images["file_name"].to_pylist() if "._" in name or "Thumbs" in name]


def test_every_unusable_line_is_set_aside_with_its_reason():
    tables = risbench("val")
    assert rejects(tables) == [
        ("output_phrase_val.txt:13", "blank_question"),
        ("output_phrase_val.txt:14", "invalid_text"),
        ("output_phrase_val.txt:6", "missing_mask"),
        ("output_phrase_val.txt:7", "missing_image"),
        ("output_phrase_val.txt:9", "ambiguous_name"),
        ("output_phrase_val.txt:10", "unsafe_name"),
        ("output_phrase_val.txt:11", "unsafe_name"),
        ("output_phrase_val.txt:12", "missing_mask"),
        ("output_phrase_val.txt:15", "missing_image"),
        ("output_phrase_val.txt:2", "corrupt_image"),
        ("output_phrase_val.txt:3", "corrupt_image"),
        ("output_phrase_val.txt:4", "corrupt_label"),
        ("output_phrase_val.txt:5", "size_mismatch"),
        ("output_phrase_val.txt:8", "too_many_pixels"),
    ]
    assert list(samples(tables)) == ["good"]
    details = dict(zip(tables.rejects["source"].to_pylist(), tables.rejects["detail"].to_pylist(), strict=True))
    assert details["output_phrase_val.txt:5"] == "mask mask_of_another_size.png is 19×12, image 20×12"


def test_the_largest_image_there_is_is_read_whole():
    tables = risbench("test")
    assert tables.rejects.num_rows == 0
    sizes = dict(zip(tables.images["image_id"].to_pylist(), tables.images["width"].to_pylist(), strict=True))
    assert sizes == {"largest": LARGEST, "last": 20}
    assert samples(tables)["largest"]["is_empty"]


def test_the_layout_is_found_below_an_extra_top_folder():
    assert dataset_at("risbench", RISBENCH.parent).root == RISBENCH
    assert dataset_at("risbench", RISBENCH).root == RISBENCH


def test_two_copies_below_one_folder_are_not_guessed_between(tmp_path):
    for copy in ("one", "two"):
        shutil.copytree(REFSEGRS, tmp_path / copy)
    with pytest.raises(InputError, match=r"several datasets \(one, two\)"):
        dataset_at("refsegrs", tmp_path)


def test_refsegrs_ids_have_no_ending_and_only_the_first_channel_counts():
    tables = read_tables("refsegrs", REFSEGRS, "train")
    assert tables.rejects.num_rows == 0
    read = samples(tables)
    assert {name: row["questions"][0] for name, row in read.items()} == {
        "1": "road",
        "1#2": "paved  road along the vehicle",
        "2": "car",
        "3": "bâtiment",
        "4": "car",
        "5.5": "a dotted id",
    }
    for row in read.values():
        assert np.array_equal(masks.decode(Rle.from_arrow(row["mask"])), target())
    assert [source for source, _ in rejects(read_tables("refsegrs", REFSEGRS, "val"))] == ["output_phrase_val.txt:2"]


def test_the_script_makes_the_trees_that_are_checked_in(tmp_path):
    make(tmp_path)
    for name, made, kept in (
        ("risbench", tmp_path / "risbench" / "RISBench", RISBENCH),
        ("refsegrs", tmp_path / "refsegrs", REFSEGRS),
    ):
        for split in ("train", "val"):
            here, there = read_tables(name, made, split), read_tables(name, kept, split)
            assert here.samples.equals(there.samples)
            assert {source for source, _ in rejects(here)} == {source for source, _ in rejects(there)}


@pytest.mark.parametrize("folder", ["img_rgb", "mask"])
def test_a_missing_folder_is_one_sentence(tmp_path, folder):
    Tree(tmp_path, "img_rgb", "mask", "png").phrases("val", b"a.png a car\n")
    (tmp_path / folder).rmdir()
    with pytest.raises(InputError, match=rf"{folder} is missing: the layout is img_rgb/, mask/"):
        benchmark.RISBENCH.reader.sources(tmp_path, "val")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20))))
def test_any_text_file_is_as_many_rows_and_rejects_as_it_has_lines_with_words(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("phrases") / "output_phrase_val.txt"
    text = "\n".join(f"{name} {phrase}" for name, phrase in lines)
    path.write_bytes(text.encode())
    entries = list(_rows(path))
    assert len(entries) == sum(bool(line.strip()) for line in text.removeprefix("\ufeff").split("\n"))
    for entry in entries:
        assert isinstance(entry, RejectRecord) or (isinstance(entry, Row) and entry.questions[0].strip())


def test_a_name_with_a_folder_is_looked_up_below_it_and_links_are_followed(tmp_path):
    tree = Tree(tmp_path / "data", "img_rgb", "mask", "png")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.png").write_bytes(file_of(picture(1), "PNG"))
    for folder in ("img_rgb", "mask"):
        (tree.root / folder / "below").mkdir()
    tree.put("img_rgb/below/a.png", file_of(picture(1), "PNG"))
    tree.put("mask/below/a.png", file_of(label(), "PNG"))
    (tree.root / "mask" / "linked").symlink_to(tree.root / "mask" / "below")
    (tree.root / "img_rgb" / "linked").symlink_to(tmp_path / "outside")
    tree.phrases("val", b"below/a.png a car\nbelow\\a.png a van\nlinked/a.png a way\n../outside/a.png out\n")
    tables = read_tables("risbench", tree.root, "val")
    assert list(samples(tables)) == ["a", "a#2", "a#3"]
    assert rejects(tables) == [("output_phrase_val.txt:4", "unsafe_name")]


def test_folders_that_are_links_themselves_are_the_users_choice(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).symlink_to(REFSEGRS / folder)
    shutil.copy(REFSEGRS / "output_phrase_val.txt", tmp_path)
    assert list(samples(read_tables("refsegrs", tmp_path, "val"))) == ["6"]


def test_an_archive_is_left_alone():
    assert (RISBENCH / "img_rgb" / "archive.zip").is_file()
    assert ("output_phrase_val.txt:15", "missing_image") in rejects(risbench("val"))
