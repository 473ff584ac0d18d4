"""DBSCAN over the foreground pixels of a mask, with the result of scikit-learn.

scikit-learn lists the neighbours of every pixel: 300,000 pixels with 80 neighbours each take seconds and gigabytes.
Here the grid is used that pixels lie on. Running sums count the pixels of a disc, cores that touch are one connected
component, and only the rims of components can come within ``eps`` of each other.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from t2s_pipeline.pseudo_labels.label import Mask
from t2s_pipeline.pseudo_labels.runs import NOTHING, Numbers, PixelRuns, linked

Reach = list[tuple[int, int]]
"""Offsets (dy, dx)."""

NOISE = NOTHING
FEW = 32
"""If at least one pixel in 32 has to be counted, counting all of them at once is faster."""


def dbscan(mask: Mask, eps: float = 5.0, min_samples: int = 10) -> Numbers:
    """Cluster numbers, int32 (H, W): 0, 1, … and ``NOISE`` for noise and for background.

    The numbers are those of ``sklearn.cluster.DBSCAN(eps, min_samples).fit(np.argwhere(mask)).labels_``. A pixel is a
    core if ``min_samples`` pixels, itself included, lie within ``eps`` of it. Cores within ``eps`` of each other are
    one cluster. Clusters are numbered by their first core in row order. Another pixel belongs to the lowest-numbered
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
    numbers = np.full(mask.shape, NOISE, np.int32)
    if not mask.any():
        return numbers
    rows, columns = (slice(at[0], at[-1] + 1) for at in (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)))
    # Row by row in memory, whatever the mask is, because the code below counts in flat indices and writes with them.
    inner = np.ascontiguousarray(mask[rows, columns])
    # No two pixels are farther apart than the mask is long, so a larger radius adds nothing.
    radius = min(math.floor(eps), max(inner.shape) - 1)
    reach = _disc(radius, eps)
    # The rim is at least one pixel wide, so that no run of pixels goes on in the next row.
    rim = max(1, radius)
    framed = np.pad(inner, rim)
    cores = _cores(framed, radius, reach, eps, min_samples)
    clusters = _clusters_of_cores(cores, reach, eps)
    _add_border(clusters, framed & ~cores, reach)
    height, width = inner.shape
    numbers[rows, columns] = clusters[rim : rim + height, rim : rim + width]
    return numbers


def _disc(radius: int, eps: float) -> Reach:
    """Offsets (dy, dx) other than (0, 0) of at most ``eps``."""
    span = range(-radius, radius + 1)
    return [(dy, dx) for dy in span for dx in span if 0 < dy * dy + dx * dx <= eps * eps]


def _cores(framed: Mask, radius: int, reach: Reach, eps: float, min_samples: int) -> Mask:
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


def _filled(framed: Mask, radius: int, eps: float, min_samples: int) -> Mask:
    """Pixels in the middle of a rectangle full of mask that alone has enough pixels within ``eps``.

    These are nearly all pixels of a blob, and need no counting.
    """
    for high in range(1, radius + 1):
        for wide in (high, high + 1):
            if high * high + wide * wide <= eps * eps and (2 * high + 1) * (2 * wide + 1) >= min_samples:
                return _eroded(framed, high, wide)
    return np.zeros_like(framed)


def _eroded(mask: Mask, reach_down: int, reach_across: int) -> Mask:
    """Pixels whose rectangle of ``reach_down`` rows and ``reach_across`` columns on either side is all in the mask."""
    rectangle = np.ones((2 * reach_down + 1, 2 * reach_across + 1), np.uint8)
    eroded = cv2.erode(mask.view(np.uint8), rectangle, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(eroded, np.uint8).view(np.bool_)


def _neighbours(framed: Mask, radius: int, eps: float) -> npt.NDArray[np.signedinteger]:
    """How many mask pixels lie within ``eps``, the pixel itself included; wrong in the frame of ``radius`` pixels."""
    height, width = framed.shape
    small = max(width, (2 * radius + 1) ** 2) < np.iinfo(np.int16).max
    kind: type[np.signedinteger] = np.int16 if small else np.int32
    before = np.zeros((height, width + 1), kind)
    np.cumsum(framed, axis=1, dtype=kind, out=before[:, 1:])
    count = np.zeros((height, width), kind)
    inside = count[radius : height - radius, radius : width - radius]
    rows, columns = inside.shape
    for dy in range(-radius, radius + 1):
        reach = min(radius, math.isqrt(math.floor(eps * eps - dy * dy)))
        line = before[radius + dy : radius + dy + rows]
        inside += line[:, radius + reach + 1 : radius + reach + 1 + columns]
        inside -= line[:, radius - reach : radius - reach + columns]
    return count


def _clusters_of_cores(cores: Mask, reach: Reach, eps: float) -> Numbers:
    """Cluster numbers of the core pixels, ``NOISE`` elsewhere."""
    if eps < 1:  # Every core is a cluster of its own.
        clusters = np.full(cores.shape, NOISE, np.int32)
        clusters[cores] = np.arange(np.count_nonzero(cores))
        return clusters
    runs = PixelRuns.of_mask(cores)
    # Pixels side by side are within eps. Pixels that touch at a corner are so only if eps is at least √2.
    diagonal = eps * eps >= 2
    component_of = runs.components(diagonal)
    count = int(component_of.max(initial=-1)) + 1
    cluster_of: npt.NDArray[np.integer] = np.arange(count)
    if count > 1 and diagonal:
        cluster_of = _merged(runs.painted(component_of), count, cores, reach)
    numbers = cluster_of[component_of]
    # Runs are in row order, so the first run of a cluster holds its first core.
    _, first, numbers = np.unique(numbers, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int32)
    rank[first.argsort()] = np.arange(first.size)
    return runs.painted(rank[numbers])


def _merged(components: Numbers, count: int, cores: Mask, reach: Reach) -> npt.NDArray[np.integer]:
    """For each connected component of cores, the number of the cluster that it belongs to.

    The two nearest pixels of two components lie on their rims, because a pixel that has all eight neighbours in its
    component has a neighbour that is nearer.
    """
    rim = np.flatnonzero(cores & ~_eroded(cores, 1, 1))
    numbers, width = components.ravel(), components.shape[1]
    components_of_rim = numbers[rim]
    firsts, seconds = [], []
    for dy, dx in reach:
        # Half of the disc is enough, because distance is symmetric. Pixels that touch are of one component.
        if (dy, dx) > (0, 0) and max(abs(dy), abs(dx)) > 1:
            neighbours = numbers[rim + (dy * width + dx)]
            near = (neighbours != NOISE) & (neighbours != components_of_rim)
            if near.any():
                firsts.append(components_of_rim[near])
                seconds.append(neighbours[near])
    return linked(count, np.concatenate(firsts), np.concatenate(seconds)) if firsts else np.arange(count)


def _add_border(clusters: Numbers, others: Mask, reach: Reach) -> None:
    """Give mask pixels that are no cores the lowest cluster number among the cores within reach."""
    flat = np.flatnonzero(others)
    if not flat.size:
        return
    # As unsigned numbers, noise is the highest.
    numbers, width = clusters.ravel(), clusters.shape[1]
    lowest = np.full(flat.size, NOISE, np.int32).view(np.uint32)
    for dy, dx in reach:
        np.minimum(lowest, numbers[flat + (dy * width + dx)].view(np.uint32), out=lowest)
    numbers[flat] = lowest.view(np.int32)
