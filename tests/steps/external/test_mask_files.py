"""Masks of other projects as pictures and arrays: which values count, and which files are refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.steps.external import mask_files
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, MaskOptions, PredictionReject
from t2s_pipeline.steps.external.masks import read_masks
from t2s_pipeline.vision import masks

SIZES = {"a": (4, 8), "b": (4, 8)}
MASK = np.arange(32).reshape(4, 8) % 3 == 0


def read(path: Path, **options: object) -> list[ForeignMask | PredictionReject]:
    return list(read_masks(path, SIZES, MaskOptions(**options)))


def mask_of(one: ForeignMask | PredictionReject) -> np.ndarray:
    assert isinstance(one, ForeignMask) and one.mask is not None, one
    return masks.decode(one.mask)


def test_a_grey_picture_in_colours_has_the_threshold_and_its_alpha_does_not_count(tmp_path: Path):
    """The values are 0 and 100, and those above the threshold are target."""
    grey = np.where(MASK, 100, 0).astype(np.uint8)[..., None].repeat(3, 2)
    Image.fromarray(grey).save(tmp_path / "a.png")
    alpha = np.full((4, 8, 1), 7, np.uint8)
    Image.fromarray(np.concatenate([grey, alpha], 2)).save(tmp_path / "b.png")
    for one in read(tmp_path, threshold=99):
        assert np.array_equal(mask_of(one), MASK)
    assert not any(mask_of(one).any() for one in read(tmp_path, threshold=100))


def test_arrays_have_rows_and_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    np.save(tmp_path / "a.npy", MASK[None])
    np.save(tmp_path / "b.npy", np.zeros((2, 4, 8), bool))
    one, other = read(tmp_path)
    assert np.array_equal(mask_of(one), MASK), "a dimension of one is no dimension"
    assert isinstance(other, PredictionReject) and other.reason == "invalid_mask"
    assert other.detail == "an array of the shape (2, 4, 8); a mask has rows and columns"
    monkeypatch.setattr(mask_files, "MAX_PIXELS", 31)
    (tmp_path / "b.npy").unlink()
    (one,) = read(tmp_path)
    assert isinstance(one, PredictionReject) and (one.reason, one.detail) == ("too_many_pixels", "8×4 pixels")


def test_objects_of_one_sample_are_united_if_their_sizes_are_equal(tmp_path: Path):
    np.save(tmp_path / "a_0.npy", MASK)
    np.save(tmp_path / "a_1.npy", ~MASK)
    np.save(tmp_path / "a_2.npy", np.ones((6, 6), bool))
    (tmp_path / "a").mkdir()
    for number in range(3):
        (tmp_path / f"a_{number}.npy").rename(tmp_path / "a" / f"{number}.npy")
    refused, united = read(tmp_path, objects=True)
    assert isinstance(refused, PredictionReject) and refused.reason == "size_mismatch"
    assert refused.detail == "it is 6×6, another object 8×4"
    assert mask_of(united).all() and mask_of(united).shape == (4, 8)


def test_a_table_without_a_column_of_masks_is_one_sentence(tmp_path: Path):
    pq.write_table(pa.table({"sample_id": ["a"], "score": [0.5]}), tmp_path / "theirs.parquet")
    with pytest.raises(InputError, match=r"theirs\.parquet has no column mask: give sample_id and mask"):
        read(tmp_path / "theirs.parquet")
