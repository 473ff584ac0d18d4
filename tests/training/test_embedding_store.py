"""A training on a CPU keeps the embeddings of its images where there is room, and says so."""

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from t2s_pipeline.core.errors import InputError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.segmenters.embedding import ROOM_VARIABLE  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.training import embedding_store as module  # noqa: E402
from t2s_pipeline.training.embedding_store import embedding_store  # noqa: E402

Usage = namedtuple("Usage", "total used free")
# Of sam2-mini, by hand: 128 channels of 8 x 8, 16 of 32 x 32 and 32 of 16 x 16, in float32, and the header.
BYTES = 4 * (128 * 8 * 8 + 16 * 32 * 32 + 32 * 16 * 16) + 1024


class Sentences:
    def __init__(self) -> None:
        self.all: list[str] = []

    def say(self, message: str, warning: bool = False) -> None:
        self.all.append(message)


@pytest.fixture(autouse=True)
def as_if_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """The miniature counts as a released segmenter, and nobody gives room."""
    monkeypatch.setattr(module, "MINIATURE_SIDE", 0)
    monkeypatch.delenv(ROOM_VARIABLE, raising=False)


@pytest.fixture
def segmenter():
    return load_segmenter("sam2-mini")


def free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))


@pytest.mark.parametrize(
    ("free", "images", "encodings", "kept"),
    [
        (200 * BYTES, 100, 200, True),
        (200 * BYTES - 1, 100, 200, False),
        (10**12, 100, 199, False),
        (10**12, 100, 10_000, True),
    ],
)
def test_embeddings_are_kept_if_images_are_used_again_and_half_of_the_disk_is_enough(
    tmp_path: Path, segmenter, monkeypatch, free: int, images: int, encodings: int, kept: bool
):
    free_bytes(monkeypatch, free)
    said = Sentences()
    store = embedding_store(tmp_path, segmenter, images, encodings, said)
    assert (store is not None) == kept
    if store is not None:
        assert store.max_bytes == images * BYTES and "each image is encoded once" in said.all[0]
    elif encodings >= 2 * images:
        assert "are not kept" in said.all[0] and ROOM_VARIABLE in said.all[0]
    else:
        assert not said.all


def test_the_environment_decides_if_it_says_anything(tmp_path: Path, segmenter, monkeypatch):
    free_bytes(monkeypatch, 10**12)
    said = Sentences()
    for text, room in (("0", None), ("2", 2_000_000_000)):
        monkeypatch.setenv(ROOM_VARIABLE, text)
        store = embedding_store(tmp_path, segmenter, 10, 100, said)
        assert (store.max_bytes if store else None) == room
    monkeypatch.setenv(ROOM_VARIABLE, "much")
    with pytest.raises(InputError, match=ROOM_VARIABLE):
        embedding_store(tmp_path, segmenter, 10, 100, said)
    assert not said.all


def test_a_miniature_encodes_as_fast_as_a_file_is_read(tmp_path: Path, segmenter, monkeypatch):
    monkeypatch.undo()
    monkeypatch.delenv(ROOM_VARIABLE, raising=False)
    assert embedding_store(tmp_path, segmenter, 10, 100, Sentences()) is None


def test_all_images_fit_and_each_is_encoded_once(tmp_path: Path, segmenter):
    """The limit is exact enough that no embedding is removed for another; the masks are those without a store."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (90, 90, 3), dtype=np.uint8) for _ in range(12)]
    plain = [segmenter.encode(image) for image in images]
    segmenter.cache = embedding_store(tmp_path, segmenter, len(images), 24, Sentences())
    segmenter.counts.encoder = 0
    for _ in range(2):
        kept = [segmenter.encode(image) for image in images]
    assert segmenter.counts.encoder == 12 and (segmenter.cache.hits, segmenter.cache.misses) == (12, 12)
    for one, other in zip(kept, plain, strict=True):
        assert torch.equal(one.image, other.image)
        assert all(torch.equal(a, b) for a, b in zip(one.high_res, other.high_res, strict=True))
    assert segmenter.cache.bytes_on_disk <= segmenter.cache.max_bytes
