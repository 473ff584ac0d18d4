"""Kinds of files that people report as read wrongly, each with the right value (tests/data/cases)."""

import json
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.earthreason import EarthReason
from t2s_pipeline.vision.pictures import decode_image
from t2s_pipeline.vision.pixel_rules import PixelRules
from tests.datasets.reading import DatasetTables, read_tables, rejects, samples
from tests.vision.rasters import tiff

CASES = Path(__file__).resolve().parent.parent / "data" / "cases"
TARGET_PIXELS = 600


def read(folder: Path, table: str = "q.csv", split: str = "test", encoding: str = "", **rules) -> DatasetTables:
    reader = CustomTable(
        folder / "images", folder / "masks", folder / table, "test", encoding, rules=PixelRules(**rules)
    )
    return read_tables("mine", folder, split, reader=reader)


def read_coco(name: str) -> DatasetTables:
    folder = CASES / "coco"
    return read_tables("mine", folder, "test", reader=CustomCoco(folder / "images", folder / name, "test"))


def areas(tables: DatasetTables) -> dict[str, int]:
    return {key: row["mask_area"] for key, row in samples(tables).items()}


def warnings(tables: DatasetTables) -> Counter[str]:
    return Counter(tables.notes.filter(tables.notes["is_warning"])["kind"].to_pylist())


def shown(tables: DatasetTables) -> dict[str, np.ndarray]:
    return {row["image_id"]: decode_image(row["bytes"]) for row in tables.images.to_pylist()}


def test_masks_of_sixteen_bits_in_colour_have_their_target():
    tables = read(CASES / "mask_16bit_colour")
    # Eight rows share one picture file eight times over: one image, eight samples.
    assert len(areas(tables)) == 8
    assert set(areas(tables).values()) == {TARGET_PIXELS}
    assert rejects(tables) == []


def test_nodata_and_nan_of_a_mask_are_no_target():
    tables = read(CASES / "mask_nodata")
    assert list(areas(tables).values()) == [TARGET_PIXELS] * 2
    assert warnings(tables) == {"absent_pixels": 2}


def test_masks_as_jpeg_are_cut_in_the_middle_and_counted():
    tables = read(CASES / "mask_jpeg")
    assert list(areas(tables).values()) == [TARGET_PIXELS] * 4
    assert warnings(tables) == {"lossy_mask": 4}
    strict = read(CASES / "mask_jpeg", threshold=0)
    assert min(areas(strict).values()) > TARGET_PIXELS
    assert warnings(strict) == {}
    assert strict.notes.to_pylist()[0]["detail"] == '{"threshold": 0}'


def test_float_and_sixteen_bit_pictures_are_stretched_and_what_is_not_finite_stays_out():
    tables = read(CASES / "image_nan")
    pictures = shown(tables)
    assert len(pictures) == 7
    for name, picture in pictures.items():
        assert (picture.min(), picture.max()) == (0, 254 if name == "rgbnir8" else 255), name
        assert 90 < picture.mean() < 140, name
    stretches = tables.notes.filter(pc.equal(tables.notes["kind"], "stretched"))
    assert set(stretches["source"].to_pylist()) == {
        f"images/{name}.tif" for name in ("nan", "rgb_f32", "s2_13band", "s2_4band16", "s2_grey16", "s2_rgb16")
    }
    assert warnings(tables) == {"assumed_bands": 2}


def test_bands_are_chosen_by_a_setting():
    folder = CASES / "image_nan"
    first, chosen = (shown(read(folder, bands=bands))["s2_13band"] for bands in ((1, 2, 3), (3, 2, 1)))
    assert np.array_equal(chosen, first[..., ::-1])
    assert rejects(read(folder, bands=(13, 2, 1)))[0] == ("q.csv:2", "missing_band")


@pytest.mark.parametrize(
    ("bands", "dtype", "options"),
    [
        (4, "uint16", {"photometric": "rgb", "compress": "deflate"}),
        (3, "uint16", {"photometric": "minisblack", "compress": "zstd", "tiled": True}),
        (4, "float32", {"photometric": "minisblack"}),
        (4, "uint8", {"photometric": "rgb", "compress": "webp", "tiled": True}),
    ],
    ids=str,
)
def test_geotiffs_of_many_kinds_are_pictures_and_not_corrupt(tmp_path, bands, dtype, options):
    values = np.random.default_rng(1).integers(1, 250, (bands, 64, 64)).astype(dtype)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "a.tif").write_bytes(tiff(values, **options))
    shutil.copy(CASES / "image_nan" / "masks" / "m.png", tmp_path / "masks" / "m.png")
    (tmp_path / "q.csv").write_text("image,mask,question\na.tif,m.png,Where?\n")
    tables = read(tmp_path)
    assert rejects(tables) == []
    assert shown(tables)["a"].std() > 20


def test_a_split_called_validation_is_val_and_no_row_vanishes():
    folder = CASES / "split_validation"
    reader = CustomTable(folder / "images", folder / "masks", folder / "q.csv", "test")
    assert reader.splits(folder) == ["train", "val"]
    assert [len(areas(read(folder, split=split))) for split in ("train", "val")] == [4, 2]


@pytest.mark.parametrize(
    ("name", "kept", "aside"),
    [
        ("ids_all_zero.json", {"1-ship": 200, "2-harbor": 100}, []),
        # One annotation of an image and category cannot be used: none of them is, and each is told.
        ("one_empty.json", {}, [(1, "incomplete_target"), (2, "invalid_mask"), (3, "invalid_mask")]),
        ("one_bbox_only.json", {"1-harbor": 100}, [(1, "incomplete_target"), (2, "invalid_mask")]),
        ("one_degenerate.json", {}, [(1, "incomplete_target"), (2, "invalid_mask"), (3, "invalid_mask")]),
        ("category_id_text.json", {"1-ship": 100, "2-harbor": 100}, []),
        ("image_id_text.json", {"1-ship": 100, "2-harbor": 100}, []),
        ("ids_float.json", {"1-ship": 100}, []),
        ("size_kinds.json", {"1-ship": 100, "2-ship": 100}, []),
    ],
)
def test_every_annotation_of_a_coco_file_is_in_a_mask_or_told(name, kept, aside):
    tables = read_coco(name)
    assert areas(tables) == kept
    of_annotations = [reject for reject in rejects(tables) if "#annotation=" in reject[0]]
    assert of_annotations == [(f"{name}#annotation={key}", reason) for key, reason in aside]


def test_a_name_is_found_in_either_form_of_unicode(tmp_path):
    picture = (CASES / "csv_kinds" / "images" / "1.png").read_bytes()
    mask = (CASES / "csv_kinds" / "masks" / "1.png").read_bytes()
    name = "Zürich/Höngg_01.png"
    for on_disk, in_table in (("NFD", "NFC"), ("NFC", "NFD")):
        root = tmp_path / on_disk
        for folder, data in (("images", picture), ("masks", mask)):
            path = root / folder / unicodedata.normalize(on_disk, name)
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        row = unicodedata.normalize(in_table, name)
        (root / "q.csv").write_text(f"image,mask,question\n{row},{row},Where?\n", "utf-8")
        assert areas(read(root)) == {"Höngg_01": TARGET_PIXELS}


def test_stems_of_earthreason_are_the_same_in_either_form(tmp_path):
    source = CASES / "csv_kinds"
    for folder, form, data in (
        ("images", "NFD", (source / "images" / "1.png").read_bytes()),
        ("labels", "NFC", (source / "masks" / "1.png").read_bytes()),
        ("QAs", "NFD", json.dumps({"questions": ["Where?"], "answer": []}).encode()),
    ):
        ending = ".json" if folder == "QAs" else ".png"
        path = tmp_path / "val" / folder / (unicodedata.normalize(form, "Zürich") + ending)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    assert areas(read_tables("earthreason", tmp_path, "val")) == {"Zürich": TARGET_PIXELS}


def test_links_are_followed_in_every_layout(tmp_path):
    """A folder as the Hub's cache has it: links into blobs/."""
    source = CASES / "csv_kinds"
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    shutil.copy(source / "images" / "1.png", blobs / "aaaa")
    shutil.copy(source / "masks" / "1.png", blobs / "bbbb")
    (blobs / "cccc").write_text(json.dumps({"questions": ["Where?"], "answer": []}))
    snapshot = tmp_path / "snapshots" / "abc"
    for link, blob in {
        "images/1.png": "aaaa",
        "masks/1.png": "bbbb",
        "val/images/1.png": "aaaa",
        "val/labels/1.png": "bbbb",
        "val/QAs/1.json": "cccc",
    }.items():
        (snapshot / link).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / link).symlink_to(blobs / blob)
    (snapshot / "q.csv").write_text("image,mask,question\n1.png,1.png,Where?\n2.png,1.png,Where?\n")
    (snapshot / "images" / "2.png").symlink_to(blobs / "gone")
    tables = read(snapshot)
    assert areas(tables) == {"1": TARGET_PIXELS}
    assert rejects(tables) == [("q.csv:3", "missing_image")]
    assert tables.rejects["detail"].to_pylist() == ["'2.png' is a link to a file that does not exist"]
    assert areas(read_tables("mine", snapshot, "val", reader=EarthReason())) == {"1": TARGET_PIXELS}


@pytest.mark.parametrize(
    ("table", "encoding"),
    [("utf16.csv", ""), ("utf16tab.csv", ""), ("semicolon.csv", ""), ("sep.csv", ""), ("cp1252.csv", "cp1252")],
)
def test_tables_are_read_in_the_encoding_and_with_the_delimiter_that_they_have(table, encoding):
    (row,) = samples(read(CASES / "csv_kinds", table, encoding=encoding)).values()
    assert row["questions"] == ["Où est le château?"]


def test_a_line_in_another_encoding_is_named():
    tables = read(CASES / "csv_kinds", "cp1252.csv")
    assert rejects(tables) == [("cp1252.csv:2", "invalid_text")]
    assert "--encoding" in tables.rejects["detail"].to_pylist()[0]


def test_a_quote_that_is_not_closed_costs_its_own_line_only():
    tables = read(CASES / "csv_kinds", "unclosed.csv")
    assert rejects(tables) == [("unclosed.csv:2", "invalid_row")]
    assert tables.rejects["detail"].to_pylist() == ["a quote is not closed"]
    (row,) = samples(tables).values()
    assert row["questions"] == [f"Where is number {n}?" for n in range(20)]


def test_nan_in_json_lines_is_an_empty_cell():
    found = samples(read(CASES / "csv_kinds", "nan.jsonl"))
    assert {key: (row["questions"], row["mask_area"], row["category"]) for key, row in found.items()} == {
        "1": (["Where?"], TARGET_PIXELS, None),
        "1#2": (["Where is nothing?"], 0, None),
    }


def test_answers_stand_beside_their_questions_and_two_categories_are_a_contradiction(tmp_path):
    tables = read(CASES / "answers_order")
    (row,) = samples(tables).values()
    assert (row["questions"], row["answers"], row["category"]) == (["Where is A?"], [], "boat")
    assert rejects(tables) == [("q.csv:3", "contradiction"), ("q.csv:4", "contradiction")]
    assert "'ship'" in tables.rejects["detail"].to_pylist()[0]
    shutil.copytree(CASES / "answers_order", tmp_path / "one")
    text = (tmp_path / "one" / "q.csv").read_text().replace("boat", "ship")
    (tmp_path / "one" / "q.csv").write_text(text)
    (row,) = samples(read(tmp_path / "one")).values()
    assert row["questions"] == ["Where is A?", "Where is B?", "Where is C?"]
    assert row["answers"] == ["", "It is B.", "It is C."]
