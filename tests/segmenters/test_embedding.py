"""Embeddings kept on disk: the same masks, a bounded folder, the oldest given up first, off unless asked for."""

import os

import numpy as np
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Frame, PromptObject

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from t2s_pipeline.segmenters.embedding import EmbeddingCache  # noqa: E402
from t2s_pipeline.segmenters.miniature import build  # noqa: E402
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter  # noqa: E402


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def segmenter(cache: EmbeddingCache | None, sha256: str = "a" * 64) -> Sam2Segmenter:
    torch.manual_seed(0)
    return Sam2Segmenter(build(), "random", sha256, cache=cache)


def test_an_image_is_encoded_once_over_several_runs_and_its_masks_stay_the_same(tmp_path):
    plain = segmenter(None)
    first, second = (segmenter(EmbeddingCache(tmp_path, 10**9)) for _ in range(2))
    sets, frame = [[PromptObject(bbox=(5, 5, 60, 50))]], Frame(80, 60)
    masks = [one.decode(one.encode(image(0)), sets, frame, frame)[0].mask for one in (plain, first, first, second)]
    assert all((mask == masks[0]).all() for mask in masks) and masks[0].any()
    assert (first.counts.encoder, second.counts.encoder) == (1, 0)
    assert (first.cache.hits, first.cache.misses, second.cache.hits) == (1, 1, 1)
    assert second.encode(image(0)).native == frame


def test_another_image_another_segmenter_and_another_precision_are_other_keys(tmp_path):
    cache = EmbeddingCache(tmp_path, 10**9)
    keys = {
        cache.key(image(0), "a", "float32"),
        cache.key(image(1), "a", "float32"),
        cache.key(image(0), "b", "float32"),
        cache.key(image(0), "a", "bfloat16"),
        cache.key(image(0).reshape(80, 60, 3), "a", "float32"),
    }
    assert len(keys) == 5


def test_the_oldest_are_given_up_when_there_is_no_more_room(tmp_path):
    one = segmenter(EmbeddingCache(tmp_path, 10**9))
    one.encode(image(0))
    [kept] = tmp_path.iterdir()
    size = kept.stat().st_size
    os.utime(kept, ns=(1, 1))
    one.cache.max_bytes = 2 * size
    for seed in (1, 2):
        one.encode(image(seed))
    assert kept not in set(tmp_path.iterdir()) and len(list(tmp_path.iterdir())) == 2
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * size
    one.encode(image(0))
    assert one.counts.encoder == 4


def test_a_damaged_file_is_made_again(tmp_path):
    one = segmenter(EmbeddingCache(tmp_path, 10**9))
    one.encode(image(0))
    [kept] = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    one.encode(image(0))
    one.encode(image(0))
    assert one.counts.encoder == 2


def test_it_is_off_unless_it_is_given_room(tmp_path, monkeypatch):
    monkeypatch.delenv("T2S_EMBEDDING_CACHE_GB", raising=False)
    assert EmbeddingCache.under(tmp_path) is None
    monkeypatch.setenv("T2S_EMBEDDING_CACHE_GB", "0.5")
    assert EmbeddingCache.under(tmp_path).max_bytes == 500_000_000
    monkeypatch.setenv("T2S_EMBEDDING_CACHE_GB", "plenty")
    with pytest.raises(InputError, match="T2S_EMBEDDING_CACHE_GB"):
        EmbeddingCache.under(tmp_path)
