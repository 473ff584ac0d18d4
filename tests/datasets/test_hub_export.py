"""An exported split is read by Hugging Face's own library, without this package, to the byte and the pixel."""

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import hub_export
from t2s_pipeline.datasets.hub_export import export_split
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.lake.schema import IMAGES, SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle
from tests.data.make_earthreason import HERE as EARTHREASON
from tests.data.make_phrases import RISBENCH

TRAIN = {"dataset": "risbench", "split": "train"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    for split in ("train", "val"):
        ingest_split(home / "lake", dataset_at("risbench", RISBENCH), split)
    ingest_split(home / "lake", dataset_at("earthreason", EARTHREASON), "train")
    return Settings(home, home / "python")


def test_every_sample_and_every_byte_is_there(settings, tmp_path):
    report = export_split(settings, "risbench", "train", tmp_path)
    samples = {row["sample_id"]: row for row in read_partition(settings.lake, SAMPLES, TRAIN).to_pylist()}
    images = {row["image_id"]: row for row in read_partition(settings.lake, IMAGES, TRAIN).to_pylist()}
    rows = pq.read_table(tmp_path / "data" / "train-00000.parquet").to_pylist()
    assert (report.rows, report.files) == (len(rows), 1) == (len(samples), 1)
    for row in rows:
        sample = samples.pop(row["sample_id"])
        assert row["questions"] == sample["questions"]
        assert row["image"] == {
            "bytes": images[sample["image_id"]]["bytes"],
            "path": images[sample["image_id"]]["file_name"],
        }
        drawn = np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"]))) == 255
        assert np.array_equal(drawn, masks.decode(Rle.from_arrow(sample["mask"])))
    assert not samples


READ_WITHOUT_US = """
import json, sys
from datasets import load_dataset
found = load_dataset(sys.argv[1])
print(json.dumps({
    split: [
        [row["sample_id"], row["questions"], row["image"].size, row["mask"].size, row["mask_area"], row["category"]]
        for row in rows
    ]
    for split, rows in found.items()
}))
print({name: type(kind).__name__ for name, kind in found["train"].features.items()}, file=sys.stderr)
assert "t2s_pipeline" not in sys.modules
"""


@pytest.mark.skipif(find_spec("datasets") is None, reason="Hugging Face's datasets is in the worker's environment")
def test_load_dataset_reads_it_offline_without_this_package(settings, tmp_path):
    folder = tmp_path / "export"
    for split in ("train", "val"):
        export_split(settings, "risbench", split, folder)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", READ_WITHOUT_US, folder], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {split: len(rows) for split, rows in found.items()} == {"train": 19, "val": 1}
    rows = {row[0]: row[1:] for row in found["train"]}
    assert rows["plain#3"] == [["la toiture près de l'étang, 屋顶"], [20, 12], [20, 12], 24, None]
    assert rows["nothing_there"][3] == 0
    assert "'image': 'Image', 'mask': 'Image', 'questions': 'List'" in done.stderr


def test_the_card_lists_every_split_that_the_folder_holds(settings, tmp_path):
    export_split(settings, "risbench", "train", tmp_path)
    assert "data/val" not in (tmp_path / "README.md").read_text()
    export_split(settings, "risbench", "val", tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "| train | 19 |" in card and "| val | 1 |" in card
    assert "  - split: train\n    path: data/train-*.parquet\n  - split: val" in card


def test_another_datasets_folder_is_not_mixed_with(settings, tmp_path):
    export_split(settings, "risbench", "train", tmp_path)
    with pytest.raises(InputError, match="holds another dataset"):
        export_split(settings, "earthreason", "train", tmp_path)


def test_a_large_split_is_several_files_and_a_second_export_leaves_no_stale_one(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_export, "SHARD_BYTES", 1)
    monkeypatch.setattr(hub_export, "ROWS_AT_ONCE", 4)
    assert export_split(settings, "risbench", "train", tmp_path).files == 5
    several = pq.ParquetDataset(tmp_path / "data").read()["sample_id"].to_pylist()
    monkeypatch.undo()
    assert export_split(settings, "risbench", "train", tmp_path).files == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["train-00000.parquet"]
    assert pq.read_table(tmp_path / "data")["sample_id"].to_pylist() == several


def test_the_same_split_gives_the_same_bytes(settings, tmp_path):
    for folder in ("one", "two"):
        export_split(settings, "earthreason", "train", tmp_path / folder)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*") if path.is_file()}
        for folder in ("one", "two")
    )
    assert one == two


def test_a_split_that_is_not_in_the_lake_says_so(settings, tmp_path):
    with pytest.raises(NotMaterializedError, match="samples has nothing for dataset=risbench, split=test"):
        export_split(settings, "risbench", "test", Path(tmp_path))
