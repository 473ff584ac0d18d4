"""Embeddings in memory: an image is encoded once, and the memory has a limit."""

import pytest

pytest.importorskip("torch")

from t2s_pipeline.core.model_slot import drop_all
from t2s_pipeline.segmenters.kept_embeddings import KeptEmbeddings, kept_embeddings
from t2s_pipeline.segmenters.load import kept_segmenter
from tests.scenes.painted import painted

pytestmark = pytest.mark.worker

IMAGES = [painted(60, 80, [(10, 10, 30 + step, 30)]) for step in range(4)]


@pytest.fixture
def segmenter():
    drop_all()
    segmenter = kept_segmenter("sam2-mini")
    segmenter.counts.encoder = 0
    return segmenter


def test_an_image_is_encoded_once_while_it_fits(segmenter):
    embeddings = KeptEmbeddings(segmenter)
    first = embeddings.get(IMAGES[0])
    size = embeddings.bytes_in_memory
    assert embeddings.get(IMAGES[0].copy()) is first, "it is looked up by its pixels"
    assert size == sum(t.numel() * 4 for t in (first.image, *first.high_res)) and segmenter.counts.encoder == 1
    two = KeptEmbeddings(segmenter, max_bytes=2 * size)
    for number in (0, 1, 0, 2, 0):
        two.get(IMAGES[number])
        assert two.bytes_in_memory <= 2 * size
    assert segmenter.counts.encoder == 1 + 3, "image 1 was not used for the longest time, so it went for image 2"
    two.get(IMAGES[1])
    assert segmenter.counts.encoder == 1 + 4


def test_the_last_embedding_stays_even_if_it_is_too_large(segmenter):
    embeddings = KeptEmbeddings(segmenter, max_bytes=1)
    assert embeddings.get(IMAGES[0]) is embeddings.get(IMAGES[0])
    assert segmenter.counts.encoder == 1
    embeddings.get(IMAGES[1])
    embeddings.get(IMAGES[0])
    assert segmenter.counts.encoder == 3


def test_dropping_the_models_drops_the_embeddings(segmenter):
    first = kept_embeddings(segmenter)
    assert kept_embeddings(segmenter) is first
    drop_all()
    assert kept_embeddings(segmenter) is not first
