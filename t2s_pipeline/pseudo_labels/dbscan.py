"""DBSCAN over the foreground pixels of a mask: scikit-learn's answer, from the grid that pixels lie on.

scikit-learn lists the neighbours of every pixel: 300,000 pixels with 80 neighbours each are seconds and gigabytes.
Pixels lie on a grid, so a disc's pixels are counted by running sums, cores that touch are one connected component,
and only the rims of components can come within ``eps`` of each other.
"""

import math

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

NOISE = -1
_NONE = np.iinfo(np.int32).max
FEW = 32
"""If one pixel in so many has to be counted, counting all of them at once is faster."""


def dbscan(mask: np.ndarray, eps: float = 5.0, min_samples: int = 10) -> np.ndarray:
    """Cluster numbers, int32 (H, W): 0, 1, … and ``NOISE`` for noise and for background.

    The same as ``sklearn.cluster.DBSCAN(eps, min_samples).fit(np.argwhere(mask)).labels_``: a pixel is a core if
    ``min_samples`` pixels, itself included, lie within ``eps`` of it; cores within ``eps`` of each other are one
    cluster; clusters are numbered by their first core in row order; another pixel belongs to the lowest-numbered
    cluster with a core within ``eps`` of it.

    Args:
        mask: bool (H, W).
        eps: pixels, above 0.
        min_samples: at least 1.

    Raises:
        ValueError: for other values of ``eps`` and ``min_samples``.
    """
    if not (0 < eps < math.inf) or min_samples < 1:
        raise ValueError(f"eps {eps} must be above 0 and min_samples {min_samples} at least 1")
    found = np.full(mask.shape, NOISE, np.int32)
    if not mask.any():
        return found
    rows, columns = (slice(at[0], at[-1] + 1) for at in (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)))
    inner = mask[rows, columns]
    # No two pixels are farther apart than this, so a larger radius finds nothing more.
    radius = min(math.floor(eps), max(inner.shape) - 1)
    reach = _disc(radius, eps)
    framed = np.pad(inner, radius)
    cores = _cores(framed, radius, reach, eps, min_samples)
    clusters = _clusters_of_cores(cores, reach, eps)
    _add_border(clusters, framed & ~cores, reach)
    clusters[clusters == _NONE] = NOISE
    height, width = inner.shape
    found[rows, columns] = clusters[radius : radius + height, radius : radius + width]
    return found


def _disc(radius: int, eps: float) -> list[tuple[int, int]]:
    """Offsets (dy, dx) other than (0, 0) of at most ``eps``."""
    span = range(-radius, radius + 1)
    return [(dy, dx) for dy in span for dx in span if 0 < dy * dy + dx * dx <= eps * eps]


def _cores(
    framed: np.ndarray, radius: int, reach: list[tuple[int, int]], eps: float, min_samples: int
) -> np.ndarray:
    """Mask pixels with ``min_samples`` mask pixels within ``eps``, themselves included."""
    sure = framed & _filled(framed, radius, eps, min_samples)
    open_pixels = np.flatnonzero(framed & ~sure)
    if open_pixels.size * FEW > framed.size:
        return framed & (_neighbours(framed, radius, eps) >= min_samples)
    flat, width = framed.ravel(), framed.shape[1]
    count = np.ones(open_pixels.size, np.int32)
    for dy, dx in reach:
        count += flat[open_pixels + (dy * width + dx)]
    sure.ravel()[open_pixels[count >= min_samples]] = True
    return sure


def _filled(framed: np.ndarray, radius: int, eps: float, min_samples: int) -> np.ndarray:
    """Pixels in the middle of a rectangle full of mask that alone has enough pixels within ``eps``.

    These are nearly all of a blob's, and need no counting.
    """
    for high in range(1, radius + 1):
        for wide in (high, high + 1):
            if high * high + wide * wide <= eps * eps and (2 * high + 1) * (2 * wide + 1) >= min_samples:
                return _all_within(_all_within(framed, wide, axis=1), high, axis=0)
    return np.zeros_like(framed)


def _all_within(mask: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Whether all pixels up to ``reach`` away along an axis are in the mask; false where those leave the image."""
    found = np.zeros_like(mask)
    lines, into = (mask, found) if axis == 0 else (mask.T, found.T)
    inside = into[reach : len(lines) - reach]
    inside[...] = True
    for start in range(2 * reach + 1):
        inside &= lines[start : start + len(inside)]
    return found


def _neighbours(framed: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """How many mask pixels lie within ``eps``, the pixel itself included; wrong in the frame of ``radius`` pixels."""
    height, width = framed.shape
    small = max(width, (2 * radius + 1) ** 2) < np.iinfo(np.int16).max
    before = np.zeros((height, width + 1), np.int16 if small else np.int32)
    np.cumsum(framed, axis=1, dtype=before.dtype, out=before[:, 1:])
    count = np.zeros((height, width), before.dtype)
    inside = count[radius : height - radius, radius : width - radius]
    rows, columns = inside.shape
    for dy in range(-radius, radius + 1):
        reach = min(radius, math.isqrt(math.floor(eps * eps - dy * dy)))
        line = before[radius + dy : radius + dy + rows]
        inside += line[:, radius + reach + 1 : radius + reach + 1 + columns]
        inside -= line[:, radius - reach : radius - reach + columns]
    return count


def _clusters_of_cores(cores: np.ndarray, reach: list[tuple[int, int]], eps: float) -> np.ndarray:
    """Cluster numbers of the core pixels, ``_NONE`` elsewhere; the frame is as wide as the reach."""
    if eps < 1:  # every core is a cluster of its own
        clusters = np.full(cores.shape, _NONE, np.int32)
        clusters[cores] = np.arange(np.count_nonzero(cores))
        return clusters
    # Pixels side by side are within eps; those corner to corner only from √2 on.
    touching = ndimage.generate_binary_structure(2, 2 if eps * eps >= 2 else 1)
    components, count = ndimage.label(cores, touching, output=np.int32)
    number = np.full(count + 1, _NONE, np.int32)
    if count == 1:
        number[1] = 0
    elif count:
        cluster_of = _merged(components, count, cores, reach) if eps * eps >= 2 else np.arange(count)
        first = _first_pixels(components, cores, cluster_of)
        rank = np.empty(first.size, np.int32)
        rank[first.argsort()] = np.arange(first.size)
        number[1:] = rank[cluster_of]
    return number[components]


def _first_pixels(components: np.ndarray, cores: np.ndarray, cluster_of: np.ndarray) -> np.ndarray:
    """The flat index of each cluster's first core in row order."""
    # It has no core on its left and none above it, which few pixels have not.
    starts = cores.copy()
    starts[:, 1:] &= ~cores[:, :-1]
    starts[1:] &= ~cores[:-1]
    # Written from the last to the first, so that the first stays.
    flat = np.flatnonzero(starts)[::-1]
    first = np.zeros(cluster_of.max() + 1, np.int64)
    first[cluster_of[components.ravel()[flat] - 1]] = flat
    return first


def _merged(components: np.ndarray, count: int, cores: np.ndarray, reach: list[tuple[int, int]]) -> np.ndarray:
    """For each connected component of cores (numbered from 1), which cluster it belongs to.

    The two nearest pixels of two components lie on their rims: from a pixel with all its eight neighbours in the
    component, one step would lead nearer.
    """
    rim = np.flatnonzero(cores & ~_surrounded(cores))
    numbers, width = components.ravel(), components.shape[1]
    mine = numbers[rim]
    pairs = []
    for dy, dx in reach:
        # Half of the disc, as nearness is mutual; pixels that touch are of one component.
        if (dy, dx) > (0, 0) and max(abs(dy), abs(dx)) > 1:
            other = numbers[rim + (dy * width + dx)]
            near = (other > 0) & (other != mine)
            if near.any():
                pairs.append(np.stack([mine[near], other[near]]) - 1)
    if not pairs:
        return np.arange(count)
    one, other = np.concatenate(pairs, axis=1)
    links = coo_matrix((np.ones(one.size, bool), (one, other)), shape=(count, count))
    return connected_components(links, directed=False)[1]


def _surrounded(cores: np.ndarray) -> np.ndarray:
    """Pixels that have all eight neighbours; false in the outermost rows and columns."""
    found = np.zeros_like(cores)
    lines = cores[:-2] & cores[1:-1] & cores[2:]
    found[1:-1, 1:-1] = lines[:, :-2] & lines[:, 1:-1] & lines[:, 2:]
    return found


def _add_border(clusters: np.ndarray, others: np.ndarray, reach: list[tuple[int, int]]) -> None:
    """Give mask pixels that are no cores the lowest cluster among the cores within reach."""
    flat = np.flatnonzero(others)
    if not flat.size:
        return
    numbers, width = clusters.ravel(), clusters.shape[1]
    lowest = np.full(flat.size, _NONE, np.int32)
    for dy, dx in reach:
        np.minimum(lowest, numbers[flat + (dy * width + dx)], out=lowest)
    numbers[flat] = lowest
