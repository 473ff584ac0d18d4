"""The grid's DBSCAN is scikit-learn's: the same clusters with the same numbers, and the same noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from t2s_pipeline.pseudo_labels.dbscan import NOISE, dbscan
from tests.pseudo_labels.masks_to_cluster import masks_to_cluster

cluster = pytest.importorskip("sklearn.cluster")

MASKS = masks_to_cluster()
SETTINGS = [(5.0, 10), (5.0, 30), (1.0, 3), (2**0.5, 4), (2.5, 5), (7.0, 1), (0.5, 1), (0.5, 2), (200.0, 40)]


def theirs(mask: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    found = np.full(mask.shape, NOISE, np.int32)
    pixels = np.argwhere(mask)
    if len(pixels):
        found[mask] = cluster.DBSCAN(eps=eps, min_samples=min_samples).fit(pixels).labels_
    return found


@pytest.mark.parametrize("name", MASKS)
def test_hard_masks_and_real_looking_ones(name: str):
    for eps, min_samples in SETTINGS:
        mask = MASKS[name]
        if eps > 100:  # every pixel is a neighbour of every other: scikit-learn needs the square of their number
            mask = mask[:24, :24]
        np.testing.assert_array_equal(dbscan(mask, eps, min_samples), theirs(mask, eps, min_samples), f"{eps}")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["blobs", "worn", "salted"])
def test_larger_masks_however_they_lie_in_memory(name: str, order: str):
    """Large enough that only the pixels at the rims are counted one by one; run lengths decode column by column."""
    mask = masks_to_cluster(side=400)["discs"].copy()
    mask[200:390, 30:370] = True
    mask[100:110, ::7] = True
    mask[:, 380:384] = True  # from edge to edge, so that nothing is cut off at the top and bottom
    rng = np.random.default_rng(1)
    if name == "worn":
        mask[200:390, 30:60] &= rng.random((190, 30)) < 0.3
    if name == "salted":
        mask |= rng.random(mask.shape) < 0.001
    laid = np.array(mask, order=order)
    np.testing.assert_array_equal(dbscan(laid, 5.0, 10), theirs(mask, 5.0, 10))
    np.testing.assert_array_equal(dbscan(laid, 3.0, 12), theirs(mask, 3.0, 12))


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))),
    st.sampled_from([0.7, 1.0, 1.2, 2**0.5, 2.0, 3.3, 5.0, 6.5]),
    st.integers(1, 14),
)
def test_any_small_mask(mask: np.ndarray, eps: float, min_samples: int):
    np.testing.assert_array_equal(dbscan(mask, eps, min_samples), theirs(mask, eps, min_samples))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 0.35),
    st.sampled_from([2.0, 3.0, 5.0]),
    st.integers(2, 14),
)
def test_noise_around_the_number_of_samples_that_makes_a_core(seed: int, density: float, eps: float, samples: int):
    mask = np.random.default_rng(seed).random((50, 70)) < density
    np.testing.assert_array_equal(dbscan(mask, eps, samples), theirs(mask, eps, samples))


def test_clusters_are_numbered_by_their_first_core_and_a_border_pixel_goes_to_the_lowest():
    """One row, eps 2, five samples: ``XXXXX.X.XXXXX``.

    Within 2 of pixel 2 lie pixels 0 to 4: a core, and it is the left run's only one (pixel 3 has 1, 2, 3, 4 and not
    5, which is off; pixel 4 has 2, 3, 4, 6). By symmetry pixel 10 is the right run's. Pixel 2 reaches 0 to 4, pixel 10
    reaches 8 to 12; pixel 6 lies 4 from either: noise.
    """
    row = np.array([[c == "X" for c in "XXXXX.X.XXXXX"]])
    assert dbscan(row, 2.0, 5).tolist() == [[0, 0, 0, 0, 0, -1, -1, -1, 1, 1, 1, 1, 1]]


def test_a_pixel_in_reach_of_two_clusters_belongs_to_the_first():
    """Two columns of three with a pixel between: within 1 of the pixel in the middle there are both middles.

    eps 1 and four samples: the middles have themselves, two above and below, and the pixel between: cores. That pixel
    has itself and two middles: three, no core. The left middle is first in its row.
    """
    mask = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 1]], bool)
    assert dbscan(mask, 1.0, 4).tolist() == [[0, -1, 1], [0, 0, 1], [0, -1, 1]]


@pytest.mark.parametrize(("eps", "min_samples"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_settings_without_a_meaning_are_refused(eps: float, min_samples: int):
    with pytest.raises(ValueError, match="above 0"):
        dbscan(np.ones((2, 2), bool), eps, min_samples)
