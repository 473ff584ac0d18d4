"""95 % bootstrap intervals by image: the questions of one image are resampled together.

This is a percentile bootstrap. A resample takes as many images as there are, at random and with replacement. This is
repeated 2,000 times, and the interval of a metric is the middle 95 % of its values. Every metric here is a ratio of
sums over images. So a resample is a row of counts times a matrix of per-image sums, and each answer is read only once.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
SEED = 20_240_501
LEVEL = 0.95
CHUNK_CELLS = 4_000_000
"""Counts (resamples × images) that are held at once. This bounds memory at about 80 MB for any number of images."""


def resampled_sums(sums: Floats, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Column sums of ``sums`` over bootstrap resamples of its rows.

    Args:
        sums: float (images, k). The order of the rows matters for the random choice, so give images in a fixed order.
        resamples: the number of resamples.
        seed: of the random numbers.

    Returns:
        float (resamples, k). Equal seeds and equal numbers of images choose the same images.
    """
    totals = np.empty((resamples, sums.shape[1]))
    row = 0
    for counts in _counts(len(sums), resamples, seed):
        totals[row : row + len(counts)] = counts @ sums
        row += len(counts)
    return totals


def _counts(images: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image is chosen, in chunks of float (some resamples, images).

    Random indices are generated and counted. This gives the multinomial distribution of equal chances, and it is twenty
    times faster than the multinomial of NumPy, which generates one binomial after the other.
    """
    rng = np.random.default_rng(seed)
    step = max(1, min(resamples, CHUNK_CELLS // max(1, images)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        indices = rng.integers(images, size=(size, images), dtype=np.int32)
        indices += np.arange(size, dtype=np.int32)[:, None] * np.int32(images)
        yield np.bincount(indices.ravel(), minlength=size * images).reshape(size, images).astype(np.float64)


def percentile_interval(values: Floats) -> tuple[float, float]:
    """The middle 95 % of resampled values; NaN where every resample is undefined."""
    defined = values[np.isfinite(values)]
    if defined.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
