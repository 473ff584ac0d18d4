"""Everything good in EarthReason's layout is read, everything else set aside with its reason, in a fixed order."""

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.earthreason import EarthReason, parse_qa
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.masks import Rle
from tests.data.make_earthreason import HERE, Split, file_of, make, picture, qa, target
from tests.datasets.reading import DatasetTables, read_tables

REAL = Path(__file__).resolve().parent.parent / "data" / "real_scenes"


def read(root: Path, split: str) -> DatasetTables:
    return read_tables("earthreason", root, split)


def by_id(tables: DatasetTables) -> dict[str, dict]:
    return {row["sample_id"]: row for row in tables.samples.to_pylist()}


def reasons(tables: DatasetTables) -> list[tuple[str, str]]:
    return [(row["source"].split("/", 1)[1], row["reason"]) for row in tables.rejects.to_pylist()]


def test_every_accepted_oddity_is_read_and_finds_the_same_target():
    tables = read(HERE, "train")
    assert tables.rejects.num_rows == 0
    samples = by_id(tables)
    assert list(samples) == sorted(path.stem for path in (HERE / "train/QAs").iterdir() if path.name[0] != ".")
    for name, row in samples.items():
        expected = {
            "h_empty_target": np.zeros((12, 20), dtype=bool),
            "e_turned": np.rot90(target(), -1),
        }.get(name, target())
        assert np.array_equal(masks.decode(Rle.from_arrow(row["mask"])), expected), name
        assert row["mask_area"] == expected.sum()
        assert row["is_empty"] == (name == "h_empty_target")
        assert row["image_id"] == name
        assert row["category"] is None


def test_questions_and_answers_are_kept_in_their_order():
    samples = by_id(read(HERE, "train"))
    assert samples["a_six_questions"]["questions"] == [f"Question {n}?" for n in range(6)]
    assert samples["a_six_questions"]["answers"] == ["The roof."]
    assert samples["h_empty_target"]["answers"] == []
    assert samples["i.dots_and_a_byte_order_mark"]["questions"] == ["Où est la piscine ?"]


def test_images_keep_their_bytes_and_have_the_size_they_are_shown_at():
    for row in read(HERE, "train").images.to_pylist():
        file = (HERE / row["file_name"]).read_bytes()
        assert hashlib.sha256(file).hexdigest() == row["sha256"]
        # A picture of 16 bits is stored as the PNG that was made from it.
        assert (file == row["bytes"]) == (row["image_id"] != "d_sixteen_bits")
        assert (row["width"], row["height"]) == ((12, 20) if row["image_id"] == "e_turned" else (20, 12))


def test_everything_unusable_is_set_aside_with_its_reason():
    tables = read(HERE, "val")
    assert reasons(tables) == [
        ("images/notes.txt", "unsupported_file"),
        ("images/image_cut_short.png", "corrupt_image"),
        ("images/image_is_nothing.png", "corrupt_image"),
        ("images/image_is_text.png", "corrupt_image"),
        ("images/image_too_large.png", "too_many_pixels"),
        ("labels/label_cut_short.png", "corrupt_label"),
        ("labels/label_of_another_size.png", "size_mismatch"),
        ("labels/no_image.png", "missing_image"),
        ("QAs/no_image.json", "missing_image"),
        ("images/no_label.png", "missing_label"),
        ("images/no_qa.png", "missing_qa"),
        ("QAs/qa_all_blank.json#questions[0]", "blank_question"),
        ("QAs/qa_all_blank.json#questions[1]", "blank_question"),
        ("QAs/qa_all_blank.json", "no_questions"),
        ("QAs/qa_cut_short.json", "invalid_json"),
        ("QAs/qa_is_a_list.json", "invalid_qa"),
        ("QAs/qa_is_one_string.json", "invalid_qa"),
        ("QAs/qa_no_question.json", "no_questions"),
        ("QAs/qa_one_blank.json#questions[1]", "blank_question"),
        ("images/twin.tif", "duplicate_stem"),
    ]
    assert list(by_id(tables)) == ["good", "qa_one_blank", "twin"]
    assert by_id(tables)["qa_one_blank"]["questions"] == ["First?", "Third?"]
    assert tables.images["image_id"].to_pylist() == ["good", "qa_one_blank", "twin"]


def test_details_name_what_was_found_and_are_the_same_every_time():
    first, second = read(HERE, "val").rejects, read(HERE, "val").rejects
    assert first.equals(second)
    details = dict(zip(first["source"].to_pylist(), first["detail"].to_pylist(), strict=True))
    assert details["val/labels/label_of_another_size.png"] == "label is 19×12, image 20×12"
    assert details["val/images/image_too_large.png"] == "12000×10000 pixels, more than 100 million"


def test_real_crops_are_read_with_an_empty_target_among_them():
    assert EarthReason().splits(REAL) == ["val", "test"]
    samples = {**by_id(read(REAL, "val")), **by_id(read(REAL, "test"))}
    assert {name: row["is_empty"] for name, row in samples.items()} == {
        "landsat_bahamas": False,
        "savanna_tree": False,
        "river_bridge": False,
        "soap_061_crop": True,
    }
    assert samples["soap_061_crop"]["answers"] == []


def test_the_script_makes_the_tree_that_is_checked_in(tmp_path):
    make(tmp_path)
    for split in ("train", "val", "test"):
        made, kept = read(tmp_path, split), read(HERE, split)
        assert made.samples.equals(kept.samples)
        assert reasons(made) == reasons(kept)


def test_several_faults_of_one_sample_are_all_told(tmp_path):
    split = Split(tmp_path, "val")
    split.sample("all_wrong", 1, image=b"x", label=b"y", qas=b"z")
    split.put("images/alone.png", file_of(picture(2), "PNG"))
    assert reasons(read(tmp_path, "val")) == [
        ("images/all_wrong.png", "corrupt_image"),
        ("labels/all_wrong.png", "corrupt_label"),
        ("QAs/all_wrong.json", "invalid_json"),
        ("images/alone.png", "missing_label"),
        ("images/alone.png", "missing_qa"),
    ]


def test_folders_links_and_names_that_are_not_text_are_set_aside(tmp_path):
    split = Split(tmp_path, "val")
    split.sample("good", 1)
    (split.folder / "images" / "folder.png").mkdir()
    (split.folder / "images" / "dangling.png").symlink_to("nowhere.png")
    (split.folder / "images" / "elsewhere.png").symlink_to(split.folder / "images" / "good.png")
    try:
        Path(os.fsdecode(os.fsencode(split.folder) + b"/images/caf\xe9.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert reasons(read(tmp_path, "val")) == [
        ("images/caf\\xe9.png", "unsupported_file"),
        ("images/dangling.png", "unsupported_file"),
        ("images/folder.png", "unsupported_file"),
        ("images/elsewhere.png", "missing_label"),
        ("images/elsewhere.png", "missing_qa"),
    ]


@pytest.mark.parametrize("missing", ["images", "labels", "QAs"])
def test_a_missing_folder_is_one_sentence_that_says_what_was_expected(tmp_path, missing):
    split = Split(tmp_path, "val")
    (split.folder / missing).rmdir()
    with pytest.raises(InputError, match=rf"val/{missing} is missing: .*\{{images,labels,QAs\}}"):
        EarthReason().sources(tmp_path, "val")


def test_a_split_without_images_is_refused(tmp_path):
    Split(tmp_path, "val").put("labels/a.png", b"")
    with pytest.raises(InputError, match="val/images holds no jpg, jpeg, png or tif image"):
        read(tmp_path, "val")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"questions": JSON | st.lists(st.text()), "answer": st.lists(st.text())}))
def test_any_json_is_either_read_as_it_stands_or_refused(content):
    data = json.dumps(content).encode()
    try:
        read_back = parse_qa(data)
    except UnusableFileError as error:
        assert error.reason == "invalid_qa"
        return
    assert list(read_back.questions) == content["questions"]
    assert list(read_back.answers) == content["answer"]


@given(st.binary(max_size=60))
def test_any_bytes_are_either_questions_or_refused(data):
    with pytest.raises(UnusableFileError):
        parse_qa(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" * 100_000, "invalid_json"),
        (b'{"questions": [' + b"9" * 10_000 + b"]}", "invalid_qa"),
        (b'{"questions": ["\\ud800"], "answer": []}', "invalid_qa"),
        (b'{"questions": ["a"]}', "invalid_qa"),
        (b'{"questions": [1], "answer": []}', "invalid_qa"),
        (b"\xff\xfe", "invalid_json"),
        (b"", "invalid_json"),
    ],
)
def test_hostile_questions_are_refused_with_a_reason(data, reason):
    with pytest.raises(UnusableFileError) as told:
        parse_qa(data)
    assert told.value.reason == reason


def test_labels_and_questions_do_not_depend_on_the_case_of_their_endings(tmp_path):
    split = Split(tmp_path, "test")
    buffer = io.BytesIO()
    Image.fromarray(target()).save(buffer, "TIFF")
    split.put("images/a.JPEG", file_of(picture(1), "JPEG"))
    split.put("labels/a.TIF", buffer.getvalue())
    split.put("QAs/a.Json", qa("Where?"))
    assert by_id(read(tmp_path, "test"))["a"]["mask_area"] == 24
