"""Whether a training keeps the embeddings of its images on disk.

The segmenter is frozen, so an image has the same embedding in every epoch. On a CPU, a released segmenter takes seconds
to encode an image, and reading its embedding takes milliseconds. A GPU encodes faster than most disks read, and a
miniature segmenter encodes as fast as a file is read.
"""

import shutil
from pathlib import Path

import numpy as np

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.segmenters.embedding import ROOM_VARIABLE, EmbeddingCache, room_given
from t2s_pipeline.segmenters.registry import MINIATURE_SIDE
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

SHARE = 0.5
"""Of the free disk space: the most that embeddings take if nobody gives them room."""

FEWEST_TIMES = 2
"""Embeddings are kept if an image is used so many times, on average."""


def embedding_store(
    home: Path, segmenter: Sam2Segmenter, images: int, encodings: int, progress: Progress
) -> EmbeddingCache | None:
    """The store of a training's embeddings; None if they are not kept. What was decided is said.

    ``T2S_EMBEDDING_CACHE_GB`` decides if it is set. Otherwise a released segmenter's embeddings are kept on a CPU if
    the images are used several times and half of the free disk space is enough for all of them.

    Args:
        home: T2S_HOME.
        segmenter: the one that encodes them.
        images: how many different images the training uses.
        encodings: how often it uses one of them.
        progress: takes the sentence.

    Raises:
        InputError: if T2S_EMBEDDING_CACHE_GB is not a number.
    """
    if room_given():
        return EmbeddingCache.under(home)
    is_fast = segmenter.device.type != "cpu" or segmenter.frame.width <= MINIATURE_SIDE
    if is_fast or encodings < FEWEST_TIMES * images:
        return None
    store = EmbeddingCache(home / "embeddings", images * _bytes_of_one(segmenter))
    free = shutil.disk_usage(home).free + store.bytes_on_disk
    size = f"{store.max_bytes / 1e9:.1f} GB"
    if store.max_bytes > SHARE * free:
        progress.say(
            f"Embeddings of {images:,} images are not kept: they need {size}, and half of the free disk space is "
            f"{SHARE * free / 1e9:.1f} GB. {ROOM_VARIABLE} gives them room."
        )
        return None
    progress.say(
        f"Embeddings of {images:,} images are kept in {store.folder}, at most {size}: each image is encoded once. "
        f"{ROOM_VARIABLE}=0 turns this off, and the folder can be deleted at any time."
    )
    return store


def _bytes_of_one(segmenter: Sam2Segmenter) -> int:
    [embedding] = segmenter.encode_many([np.zeros((segmenter.frame.height, segmenter.frame.width, 3), np.uint8)])
    tensors = (embedding.image, *embedding.high_res)
    # 1,024 for the header of the file.
    return int(sum(tensor.numel() * tensor.element_size() for tensor in tensors)) + 1024
