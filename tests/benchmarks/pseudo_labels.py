"""How fast labels are made: ``python -m tests.benchmarks.pseudo_labels [--masks 2000] [--compared 20]``.

Masks of 840 × 840 with up to 300,000 foreground pixels, drawn from a seed: fields, runways, tanks, roads, worn edges,
salt. Two things are measured, in the orchestrator's environment:

- ``ratio``: scikit-learn's time for DBSCAN over ours, on the same masks, in this process, one after the other. The
  clusters must be identical, or the benchmark fails. As scikit-learn would need hours for all of them, a sample is
  compared: every (masks / compared)-th in the order of their foreground, so that small and large ones are in it.
- ``per_second``: masks a second for all three labellings together, over all masks, by ``--processes`` processes.

The last line is one JSON object.
"""

import argparse
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from sklearn.cluster import DBSCAN

from t2s_pipeline.pseudo_labels.dbscan import NOISE, dbscan
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS
from t2s_pipeline.vision.masks import Rle, decode, decode_by_row, encode

SIDE, MOST = 840, 300_000


def draw_mask(seed: int, index: int) -> Rle:
    """A mask whose foreground is drawn log-uniformly between 500 and ``MOST`` pixels."""
    rng = np.random.default_rng([seed, index])
    wanted = int(np.exp(rng.uniform(np.log(500), np.log(MOST))))
    mask = np.zeros((SIDE, SIDE), bool)
    parts = int(rng.integers(1, 13))
    while (left := wanted - np.count_nonzero(mask)) > 0:
        _add_part(mask, min(left, wanted / parts * rng.uniform(0.5, 1.5)), rng)
    wear = rng.random()
    if wear < 0.2:  # a mask made by a machine: ragged and salted
        mask &= rng.random(mask.shape) < 0.9
    if wear < 0.1:
        mask |= rng.random(mask.shape) < 0.002
    if np.count_nonzero(mask) > MOST:
        mask[:, np.flatnonzero(np.cumsum(mask.sum(0)) > MOST)[0] :] = False
    return encode(mask)


def _add_part(mask: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Add a rectangle or an ellipse of about ``size`` pixels: a field, a runway, a road."""
    turn, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, np.log(rng.choice([1.5, 4, 40]))))
    long, short = np.sqrt(size * stretch) / 2, np.sqrt(size / stretch) / 2
    x, y = rng.uniform(0, SIDE, 2)
    reach = np.hypot(long, short)
    rows, columns = (slice(max(0, int(at - reach)), min(SIDE, int(at + reach) + 2)) for at in (y, x))
    ys, xs = np.ogrid[rows, columns]
    along = (xs - x) * np.cos(turn) + (ys - y) * np.sin(turn)
    across = (ys - y) * np.cos(turn) - (xs - x) * np.sin(turn)
    if rng.random() < 0.5:
        mask[rows, columns] |= (np.abs(along) <= long) & (np.abs(across) <= short)
    else:
        mask[rows, columns] |= (along / long) ** 2 + (across / short) ** 2 <= 1


def label_all(rle: Rle) -> int:
    """All three labellings of a mask; how many instances they have."""
    mask = decode_by_row(rle)
    return sum(len(labelling.label(mask)) for labelling in LABELLINGS.values())


def compare(rles: list[Rle]) -> tuple[float, float]:
    """Seconds of scikit-learn and of the grid on the same masks, with the same result."""
    theirs = ours = 0.0
    settings = LABELLINGS["vision-reasoner"]
    for rle in rles:
        mask = decode(rle)
        began = time.perf_counter()
        found = dbscan(mask, settings.eps, settings.min_samples)
        ours += time.perf_counter() - began
        began = time.perf_counter()
        labels = DBSCAN(eps=settings.eps, min_samples=settings.min_samples).fit(np.argwhere(mask)).labels_
        theirs += time.perf_counter() - began
        expected = np.full(mask.shape, NOISE, np.int32)
        expected[mask] = labels
        if not np.array_equal(found, expected):
            raise SystemExit(f"The clusters differ on a mask of {rle.area} pixels.")
    return theirs, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=2000)
    parser.add_argument("--compared", type=int, default=20, help="masks that scikit-learn clusters too")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        seeds = [options.seed] * options.masks
        rles = list(pool.map(draw_mask, seeds, range(options.masks), chunksize=16))
        sizes = np.array([rle.area for rle in rles])
        print(f"{len(rles)} masks of {SIDE}²: foreground {sizes.min():,} to {sizes.max():,}, mean {sizes.mean():,.0f}")
        began = time.perf_counter()
        instances = sum(pool.map(label_all, rles, chunksize=16))
        seconds = time.perf_counter() - began
    per_second = len(rles) / seconds
    print(f"three labellings: {instances:,} instances in {seconds:.1f} s, {per_second:.1f} masks a second")
    order = sizes.argsort()
    chosen = order[np.linspace(0, len(order) - 1, min(options.compared, len(order))).round().astype(int)]
    theirs, ours = compare([rles[index] for index in chosen])
    pixels = sizes[chosen]
    print(
        f"DBSCAN of {len(chosen)} of them ({pixels.min():,} to {pixels.max():,} pixels): scikit-learn {theirs:.1f} s, "
        f"grid {ours:.2f} s, identical clusters"
    )
    told = {
        "benchmark": "pseudo_labels",
        "ratio": round(theirs / ours, 1),
        "per_second": round(per_second, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "masks": len(rles),
        "compared": len(chosen),
        "processes": options.processes,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
