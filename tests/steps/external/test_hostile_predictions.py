"""Predictions that are no files, or small as files and huge as masks, are rejected before they cost anything."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.steps.external import mask_entries
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, PredictionReject
from t2s_pipeline.steps.external.masks import read_masks
from t2s_pipeline.vision import masks

SIZES = {"a": (4, 8), "b": (4, 8)}
MASK = np.arange(32).reshape(4, 8) % 3 == 0


def reasons(path: Path) -> dict[str, str]:
    """Source → the reason of its reject, or ``mask``."""
    return {one.source: one.reason if isinstance(one, PredictionReject) else "mask" for one in read_masks(path, SIZES)}


def test_a_folder_a_link_to_nowhere_and_a_pipe_cost_themselves_only(tmp_path):
    np.save(tmp_path / "a.npy", MASK)
    (tmp_path / "x.png").mkdir()
    (tmp_path / "b.png").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "around").symlink_to(tmp_path)
    assert reasons(tmp_path) == {
        "a.npy": "mask",
        "b.png": "unreadable_file",
        "pipe.npy": "unreadable_file",
        "x.png": "unreadable_file",
    }


def test_a_mask_of_a_hundred_million_pixels_is_not_decoded(tmp_path, monkeypatch):
    huge = {"size": [10_000, 10_000], "counts": [100_000_000]}
    entries = [{"sample_id": f"stranger {i}", "segmentation": huge} for i in range(200)]
    entries += [
        {"sample_id": "a", "segmentation": huge},
        {"sample_id": "b", "segmentation": {"size": [4, 8], "counts": [32]}},
    ]
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(entries))
    decoded: list[int] = []
    decode = masks.decode
    monkeypatch.setattr(masks, "decode", lambda rle: decoded.append(rle.height * rle.width) or decode(rle))
    found = reasons(path)
    assert list(found.values()).count("surplus") == 200
    assert found["theirs.json#200"] == "too_many_pixels" and found["theirs.json#201"] == "mask"
    assert max(decoded) == 32


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }",
        b"{'descr': '|V0', 'fortran_order': False, 'shape': (100000000, 100000000), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"9" * 400 + b", 2), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }",
        b"(" * 9000,
        b"{'descr': " + b"[" * 5000,
    ],
)
def test_a_header_of_numpy_reserves_no_memory(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert reasons(tmp_path) == {"a.npy": "invalid_mask"}


def test_a_table_of_too_many_rows_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.table({"sample_id": ["a"] * 1000, "mask": [None] * 1000}), path)
    assert path.stat().st_size < 5000
    monkeypatch.setattr(mask_entries, "MAX_ROWS", 999)
    with pytest.raises(InputError, match="states 1,000 rows"):
        list(read_masks(path, SIZES))


@pytest.mark.parametrize("kind", [".json", ".parquet"])
@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/nowhere")])
def test_a_path_that_is_no_file_is_one_sentence(tmp_path, kind, put):
    path = tmp_path / f"theirs{kind}"
    put(path)
    with pytest.raises(InputError, match="theirs"):
        assert all(isinstance(one, ForeignMask) for one in read_masks(path, SIZES))
