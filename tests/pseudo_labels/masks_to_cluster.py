"""Masks that a clustering of pixels can get wrong, and some like those of the datasets. From a seed."""

import numpy as np


def masks_to_cluster(side: int = 96, seed: int = 0) -> dict[str, np.ndarray]:
    """By name, bool (side, side)."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:side, :side]
    wide = np.zeros((side, side), bool)

    def blank() -> np.ndarray:
        return wide.copy()

    found = {"nothing": blank(), "everything": ~wide, "checkerboard": (ys + xs) % 2 == 0}
    found["one pixel"] = blank()
    found["one pixel"][side // 2, side // 3] = True
    found["corners"] = blank()
    found["corners"][[0, 0, -1, -1], [0, -1, 0, -1]] = True
    for step in (2, 3, 4, 5, 6, 7):
        found[f"dots every {step}"] = (ys % step == 0) & (xs % step == 0)
    for gap in (1, 4, 5, 6):
        lines = blank()
        lines[:, :: gap + 1] = True
        found[f"thin lines {gap} apart"] = lines
    diagonal = blank()
    np.fill_diagonal(diagonal, True)
    found["thin diagonal"] = diagonal
    for gap in (4, 5, 6):
        # Two blobs whose nearest pixels are just within eps 5, at it, and beyond.
        blobs = blank()
        blobs[20:40, 10:30] = True
        blobs[20:40, 30 + gap - 1 : 50 + gap] = True
        found[f"blobs {gap} apart"] = blobs
    bridge = blank()
    bridge[10:30, 5:25] = bridge[10:30, 60:80] = True
    bridge[20, 25:60] = True
    found["blobs joined by a thread"] = bridge
    ring = blank()
    ring[10:70, 10:70] = True
    ring[20:60, 20:60] = False
    ring[30:50, 30:50] = True
    found["blob within a ring"] = ring
    shared = blank()
    shared[10:16, 10:30] = shared[24:30, 10:30] = True
    shared[20, 12] = True  # in reach of both, and no core where min_samples is high
    found["a pixel between two blobs"] = shared
    for density in (0.02, 0.05, 0.09, 0.12, 0.2, 0.5, 0.9):
        # In a disc of 81 pixels, 10 samples are a density of 0.12.
        found[f"noise of density {density}"] = rng.random((side, side)) < density
    scenes = blank()
    for _ in range(9):
        y, x, radius = (int(value) for value in rng.integers((0, 0, 2), (side, side, 14)))
        scenes |= (ys - y) ** 2 + (xs - x) ** 2 < radius**2
    found["discs"] = scenes
    found["discs with a worn edge"] = scenes & (rng.random((side, side)) < 0.8)
    found["discs and salt"] = scenes | (rng.random((side, side)) < 0.01)
    return found
