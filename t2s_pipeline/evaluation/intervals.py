"""95 % bootstrap intervals, resampling images: the questions of one image stand or fall together.

A percentile bootstrap: draw as many images as there are, with replacement, 2,000 times; a metric's interval
is the middle 95 % of its values. Every metric here is a ratio of sums over images, so a resample is a row of
counts times a matrix of per-image sums, and no answer is looked at twice.
"""

from collections.abc import Iterator

import numpy as np

RESAMPLES = 2_000
SEED = 20_240_501
LEVEL = 0.95
CHUNK_CELLS = 4_000_000
"""Counts held at once (resamples × images), which bounds memory at about 80 MB however many images there are."""


def resampled_sums(sums: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Column sums of ``sums`` over bootstrap resamples of its rows.

    Args:
        sums: float (images, k); row order matters to the draw, so give images in a fixed order.

    Returns:
        float (resamples, k). Equal seeds and equal numbers of images draw the same images.
    """
    drawn = np.empty((resamples, sums.shape[1]))
    row = 0
    for counts in _counts(len(sums), resamples, seed):
        drawn[row : row + len(counts)] = counts @ sums
        row += len(counts)
    return drawn


def _counts(images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, in chunks of float (some resamples, images).

    Drawing indices and counting them gives the multinomial of equal chances, twenty times faster than
    NumPy's own, which draws one binomial after the other.
    """
    rng = np.random.default_rng(seed)
    step = max(1, min(resamples, CHUNK_CELLS // max(1, images)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        draws = rng.integers(images, size=(size, images), dtype=np.int32)
        draws += np.arange(size, dtype=np.int32)[:, None] * np.int32(images)
        yield np.bincount(draws.ravel(), minlength=size * images).reshape(size, images).astype(np.float64)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values; NaN where every resample is undefined."""
    defined = values[np.isfinite(values)]
    if defined.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
