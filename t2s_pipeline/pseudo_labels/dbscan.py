"""DBSCAN over the foreground pixels of a mask, with the result of scikit-learn.

scikit-learn lists the neighbours of every pixel: 300,000 pixels with 80 neighbours each take seconds and gigabytes.
Here the grid is used that pixels lie on. Running sums count the pixels of a disc, cores that touch are one connected
component, and only the rims of components can come within ``eps`` of each other.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from t2s_pipeline.pseudo_labels.islands import Packed
from t2s_pipeline.pseudo_labels.label import Mask
from t2s_pipeline.pseudo_labels.runs import NOTHING, Numbers, PixelRuns, linked

Reach = list[tuple[int, int]]
"""Offsets (dy, dx)."""

NOISE = NOTHING
FEW = 8
"""If at least one pixel in 8 has to be counted, counting all of them at once is faster."""

AT_ONCE = 16
"""After so many offsets, the pixels that have enough neighbours are left out. Most need few offsets."""


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
    numbers = np.full(mask.shape, NOISE, np.int32)
    clusters = clusters_of(mask, eps, min_samples)
    if clusters is not None:
        for index, island in enumerate(clusters.packed.islands):
            # Another island may have pixels in the same window.
            numbers[island.rows, island.columns][island.mask] = clusters.of_island(index)[island.mask]
    return numbers


@dataclass(frozen=True)
class Clusters:
    """The clusters of a mask.

    Attributes:
        packed: the islands of the mask.
        numbers: of the clusters, int32, in the packed image; ``NOISE`` elsewhere.
    """

    packed: Packed
    numbers: Numbers

    def of_island(self, index: int) -> Numbers:
        """The numbers (h, w) in the window of an island."""
        top, left = self.packed.tops[index], self.packed.lefts[index]
        height, width = self.packed.islands[index].mask.shape
        return self.numbers[top : top + height, left : left + width]


def clusters_of(mask: Mask, eps: float, min_samples: int) -> Clusters | None:
    """The clusters of a mask, bool (H, W), as ``dbscan`` numbers them; None if there is no pixel that could be a core.

    Raises:
        ValueError: as ``dbscan``.
    """
    if not (0 < eps < math.inf) or min_samples < 1:
        raise ValueError(f"eps {eps} must be above 0 and min_samples {min_samples} at least 1")
    # Row by row in memory, because the code below counts in flat indices and writes with them.
    mask = np.ascontiguousarray(mask)
    _, _, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    # No two pixels are farther apart than the target is long, so a larger radius adds nothing.
    radius = min(math.floor(eps), max(width, height) - 1)
    reach = _disc(radius, eps)
    # The rim is at least one pixel wide, so that no run of pixels goes on in the next row.
    # An island with fewer pixels than that has no core.
    packed = Packed.of(mask, max(1, radius), min_samples)
    if not packed.islands:
        return None
    cores = _cores(packed.mask, radius, reach, eps, min_samples)
    clusters = _clusters_of_cores(cores, packed, reach, eps)
    _add_border(clusters, packed.mask & ~cores, reach)
    return Clusters(packed, clusters)


def _disc(radius: int, eps: float) -> Reach:
    """Offsets (dy, dx) other than (0, 0) of at most ``eps``, the nearest first."""
    span = range(-radius, radius + 1)
    disc = [(dy, dx) for dy in span for dx in span if 0 < dy * dy + dx * dx <= eps * eps]
    return sorted(disc, key=lambda offset: offset[0] ** 2 + offset[1] ** 2)


def _cores(framed: Mask, radius: int, reach: Reach, eps: float, min_samples: int) -> Mask:
    """Mask pixels with ``min_samples`` mask pixels within ``eps``, themselves included."""
    sure = framed & _filled(framed, radius, eps, min_samples)
    open_pixels = np.flatnonzero(framed & ~sure)
    if open_pixels.size * FEW > framed.size:
        return framed & (_neighbours(framed, radius, eps) >= min_samples)
    flat, width = framed.ravel(), framed.shape[1]
    enough = []
    count = np.ones(open_pixels.size, np.int32)
    for start in range(0, max(1, len(reach)), AT_ONCE):
        for dy, dx in reach[start : start + AT_ONCE]:
            count += flat[open_pixels + (dy * width + dx)]
        has_enough = count >= min_samples
        enough.append(open_pixels[has_enough])
        open_pixels, count = open_pixels[~has_enough], count[~has_enough]
    sure.ravel()[np.concatenate(enough)] = True
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


def _clusters_of_cores(cores: Mask, packed: Packed, reach: Reach, eps: float) -> Numbers:
    """Cluster numbers of the core pixels of the packed image, ``NOISE`` elsewhere."""
    runs = PixelRuns.of_mask(cores)
    # Pixels side by side are within an eps of 1, pixels that touch at a corner within √2.
    diagonal = eps * eps >= 2
    if eps < 1:
        runs = runs.single_pixels()
        component_of = np.arange(runs.starts.size, dtype=np.int32)
    else:
        component_of = runs.components(diagonal)
    if not component_of.size:
        return runs.painted(component_of)
    # Components are numbered by their first runs. Runs are in row order, so a first run holds a first core.
    first = np.flatnonzero(np.diff(np.maximum.accumulate(component_of), prepend=NOISE))
    islands, positions = packed.origins(runs.starts[first])
    cluster_of: npt.NDArray[np.integer] = np.arange(first.size)
    if first.size > 1 and diagonal:
        has_several = np.bincount(islands)[islands] > 1
        cluster_of = _merged(runs.painted(component_of), has_several, cores, reach)
    firsts = np.full(int(cluster_of.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(firsts, cluster_of, positions)
    rank = np.empty(firsts.size, np.int32)
    rank[firsts.argsort()] = np.arange(firsts.size, dtype=np.int32)
    return runs.painted(rank[cluster_of][component_of])


def _merged(
    components: Numbers, has_several: npt.NDArray[np.bool_], cores: Mask, reach: Reach
) -> npt.NDArray[np.integer]:
    """For each connected component of cores, the number of the cluster that it belongs to.

    The two nearest pixels of two components lie on their rims, because a pixel that has all eight neighbours in its
    component has a neighbour that is nearer.

    Args:
        components: the number of the component of each core pixel.
        has_several: for each component, whether its island has others too.
        cores: the core pixels.
        reach: the offsets within ``eps``.
    """
    count = has_several.size
    if not has_several.any():
        return np.arange(count)
    rim = np.flatnonzero(cores & ~_eroded(cores, 1, 1))
    numbers, width = components.ravel(), components.shape[1]
    rim = rim[has_several[numbers[rim]]]
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
