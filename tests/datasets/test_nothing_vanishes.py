"""Rows in = questions of samples + rejects, in every layout, whatever is wrong with the rows."""

import csv
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.earthreason import EarthReason
from t2s_pipeline.datasets.phrases import PhraseFiles
from t2s_pipeline.datasets.records import Reader, RejectRecord, SampleRecord
from t2s_pipeline.datasets.rrsis_d import RrsisD
from tests.data.make_earthreason import Split, file_of, label, picture

SPLIT = st.sampled_from(["train", "val", "test", "validation", "Valid", "testA", ""])
NAME = st.sampled_from(["a.png", "b.png", "broken.png", "none.png", "../a.png"])
WORDS = st.sampled_from(["Where?", "Wo, genau?", 'the "roof"', "", " ", "two\nlines"])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two pictures and their masks, and a file that is damaged."""
    folder = tmp_path_factory.mktemp("vanish")
    for part, data in (("images", file_of(picture(0), "PNG")), ("masks", file_of(label(), "PNG"))):
        (folder / part).mkdir()
        for name in ("a.png", "b.png"):
            (folder / part / name).write_bytes(data + name.encode())
        (folder / part / "broken.png").write_bytes(data[:60])
    return folder


def counts(reader: Reader, root: Path) -> tuple[int, list[str]]:
    """The number of questions in all splits, and the rows of all rejects."""
    records = [
        record
        for split in reader.splits(root)
        for source in reader.sources(root, split)
        for record in reader.read(root, source)
    ]
    questions = sum(len(record.questions) for record in records if isinstance(record, SampleRecord))
    return questions, [record.source for record in records if isinstance(record, RejectRecord)]


ROWS = st.lists(st.tuples(NAME, NAME, WORDS, st.sampled_from(["", "ship", "boat"]), SPLIT), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from([",", ";", "\t"]))
def test_rows_of_a_csv_table(root, rows, delimiter):
    path = root / "q.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["image", "mask", "question", "category", "split"])
        writer.writerows(rows)
    questions, aside = counts(CustomTable(root / "images", root / "masks", path, "test"), root)
    assert questions + len(aside) == len(rows)
    assert len(set(aside)) == len(aside)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(['a.png,a.png,"ok"', "a.png,a.png,fine", 'a.png,a.png,"open', "a.png", 'b.png,b.png,x"y']))
)
def test_lines_of_a_csv_table_with_open_quotes(root, lines):
    (root / "q.csv").write_text("\n".join(["image,mask,question", *lines, ""]))
    questions, aside = counts(CustomTable(root / "images", root / "masks", root / "q.csv", "test"), root)
    assert questions + len(aside) == len(lines)


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_rows_of_json_lines(root, rows):
    columns = ("image", "mask", "question", "category", "split")
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    (root / "q.jsonl").write_text("\n".join([*lines, "{broken", ""]))
    questions, aside = counts(CustomTable(root / "images", root / "masks", root / "q.jsonl", "test"), root)
    assert questions + len(aside) == len(rows) + 1


POLYGONS = st.sampled_from([[[1, 1, 9, 1, 9, 9]], [[5, 5, 15, 5, 15, 11]], [], None, [[1, 1]], "x"])
ANNOTATIONS = st.lists(
    st.fixed_dictionaries(
        {"image_id": st.sampled_from([1, 2, "1", 2.0, 7]), "category_id": st.sampled_from([1, 2, 9])},
        optional={
            "id": st.sampled_from([0, 1, 2]),
            "segmentation": POLYGONS,
            "caption": st.sampled_from(["the roof", "", 5]),
        },
    ),
    max_size=10,
)


@settings(deadline=None, max_examples=80)
@given(ANNOTATIONS)
def test_annotations_of_a_coco_file(root, annotations):
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "quay"}],
        "annotations": annotations,
    }
    (root / "coco.json").write_text(json.dumps(content))
    reader = CustomCoco(root / "images", root / "coco.json", "test")
    parts = [
        len(target.row.rows)
        for source in reader.sources(root, "test")
        for target in source.targets
        if any(
            isinstance(record, SampleRecord) and record.sample_id == target.sample_id
            for record in reader.read(root, source)
        )
    ]
    _, aside = counts(reader, root)
    assert sum(parts) + sum("#annotation" in place for place in aside) == len(annotations)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "ref_id": st.integers(0, 3),
                "ann_id": st.sampled_from([1, 2, 9]),
                "image_id": st.sampled_from([1, 2, 9]),
                "split": SPLIT,
                "sentences": st.sampled_from([[{"raw": "the roof"}], [], [{"raw": " "}], None]),
            },
        ),
        max_size=10,
    )
)
def test_references_of_rrsis_d(tmp_path_factory, root, references):
    folder = root / "rrsis_d"
    pictures = folder / "images" / "rrsisd" / "JPEGImages"
    if not pictures.is_dir():
        pictures.mkdir(parents=True)
        (folder / "rrsisd").mkdir()
        for name in ("a.png", "b.png"):
            (pictures / name).write_bytes((root / "images" / name).read_bytes())
        annotations = [
            {"id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]},
            {"id": 2, "category_id": 1, "segmentation": [[2, 2, 9, 2, 9, 9]]},
            {"id": 2, "category_id": 1, "segmentation": [[3, 3, 9, 3, 9, 9]]},  # a reference to it is ambiguous
        ]
        images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
        instances = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "roof"}]}
        (folder / "rrsisd" / "instances.json").write_text(json.dumps(instances))
    (folder / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps(references, protocol=2))
    questions, aside = counts(RrsisD(), folder)
    assert questions + sum(place.startswith("refs(unc).p[") for place in aside) == len(references)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["train", "validation", "test", "testB"]),
        st.lists(st.tuples(NAME, st.sampled_from(["a car", "", "the  roof"])), min_size=1, max_size=5),
        min_size=1,
    )
)
def test_lines_of_phrase_files(root, files):
    for old in root.glob("output_phrase_*.txt"):
        old.unlink()
    for split, lines in files.items():
        text = "".join(f"{name} {phrase}\n" for name, phrase in lines)
        (root / f"output_phrase_{split}.txt").write_text(text)
    reader = PhraseFiles("images", "masks")
    if files.keys() == {"testB"}:
        assert reader.splits(root) == []  # no such layout: the command says so
        return
    questions, aside = counts(reader, root)
    assert questions + len(aside) == sum(map(len, files.values()))


def test_folders_of_earthreason(tmp_path):
    splits = [Split(tmp_path, name) for name in ("train", "validation", "testA")]
    for split in splits:
        split.sample("a", 1)
    splits[0].sample("broken", 2, image=b"x")
    reader = EarthReason()
    assert reader.splits(tmp_path) == ["train", "val"]
    questions, aside = counts(reader, tmp_path)
    assert (questions, aside) == (4, ["testA/", "train/images/broken.png"])
    assert "testA/" in reader.files(tmp_path, "train")
    Split(tmp_path, "val").sample("a", 1)
    with pytest.raises(InputError, match="holds val and validation, which are one split"):
        reader.sources(tmp_path, "val")


def test_two_phrase_files_of_one_split_are_not_chosen_between(root):
    for name in ("val", "validation"):
        (root / f"output_phrase_{name}.txt").write_text("a.png a car\n")
    with pytest.raises(
        InputError, match=r"output_phrase_val.txt and output_phrase_validation.txt, which are one split"
    ):
        PhraseFiles("images", "masks").index(root, "val")


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ('image,question\na.png,"one\na.png,two"\na.png,three\n', "a quote is not closed: it would swallow line 3"),
        ("image,question\na.png,one\nimage,question\na.png,two\n", "it repeats the header"),
    ],
)
def test_a_row_inside_another_and_a_second_header_are_told(root, content, detail):
    (root / "q.csv").write_text(content)
    reader = CustomTable(root / "images", root / "masks", root / "q.csv", "test")
    (first, *_) = reader.sources(root, "test")
    assert first.rejects[0].detail == detail


def test_a_header_that_names_a_column_twice_is_one_sentence(root):
    (root / "q.csv").write_text("image,question,question\na.png,one,two\n")
    with pytest.raises(InputError, match="several columns question: leave one of them"):
        CustomTable(root / "images", root / "masks", root / "q.csv", "test").sources(root, "test")
