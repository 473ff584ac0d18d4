"""Embeddings that stay in memory, so that an image is encoded once and prompted many times.

A person who moves a box waits for the mask decoder only. The embedding is looked up by the pixels of the image. So a
file that has changed is encoded again.
"""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.core.model_slot import ModelSlot
from t2s_pipeline.segmenters.embedding import Embedding, EmbeddingCache
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

MAX_BYTES = 256_000_000
"""The most bytes of all embeddings together: 15 images of the released models, whose embeddings have 16 MB each."""


class KeptEmbeddings:
    """Embeddings in memory. If they exceed the limit, those that were not used for the longest time are dropped.

    The embedding that was used last stays in any case.

    Args:
        segmenter: encodes the images.
        max_bytes: the limit for all embeddings together.
    """

    def __init__(self, segmenter: Sam2Segmenter, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._segmenter = segmenter
        self._embeddings: OrderedDict[str, Embedding] = OrderedDict()

    def get(self, image: NDArray[np.uint8]) -> Embedding:
        """The embedding of an RGB image, uint8 (H, W, 3). It is encoded if it is not there."""
        precision = "bfloat16" if self._segmenter.bfloat16 else "float32"
        key = EmbeddingCache.key(image, self._segmenter.sha256, precision)
        if key not in self._embeddings:
            self._embeddings[key] = self._segmenter.encode(image)
        self._embeddings.move_to_end(key)
        while len(self._embeddings) > 1 and self.bytes_in_memory > self.max_bytes:
            self._embeddings.popitem(last=False)
        return self._embeddings[key]

    @property
    def bytes_in_memory(self) -> int:
        """The bytes of all embeddings."""
        return sum(
            tensor.numel() * tensor.element_size()
            for embedding in self._embeddings.values()
            for tensor in (embedding.image, *embedding.high_res)
        )


_KEPT: ModelSlot[KeptEmbeddings] = ModelSlot()


def kept_embeddings(segmenter: Sam2Segmenter) -> KeptEmbeddings:
    """The embeddings of a segmenter that this process keeps. Those of another segmenter are dropped."""
    return _KEPT.get((segmenter.sha256, str(segmenter.device)), lambda: KeptEmbeddings(segmenter))
