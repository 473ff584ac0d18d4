"""Which bands are shown as red, green and blue, and how their values become 0 to 255.

One range for all shown bands, from the 1st to the 99th percentile of their present values, becomes 0 to 255.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision.image_files import UnusableFileError

PERCENTILES = (1, 99)
"""The limits of the stretch."""
_COLOURS = ("red", "green", "blue")


def default_bands(colours: tuple[str, ...]) -> tuple[tuple[int, ...], bool]:
    """The numbers of the bands that are shown if nobody names them, and whether this is an assumption.

    Args:
        colours: what each band means, as GDAL names it: red, green, blue, gray, alpha, undefined …
    """
    if set(_COLOURS) <= set(colours):
        return tuple(colours.index(colour) + 1 for colour in _COLOURS), False
    count = sum(colour != "alpha" for colour in colours)
    return ((1, 2, 3), count > 3) if count >= 3 else ((1,), count > 1)


def require_bands(bands: tuple[int, ...], count: int) -> None:
    """Check that a file of ``count`` bands has these.

    Raises:
        UnusableFileError: reason ``missing_band``.
    """
    if max(bands) > count:
        raise UnusableFileError("missing_band", f"band {max(bands)} is asked for, and the file has {count}")


def bands_in_words(bands: tuple[int, ...]) -> str:
    """The numbers of bands for a message, e.g. ``bands 1, 2, 3``."""
    return f"band{'s' if len(bands) > 1 else ''} {', '.join(map(str, bands))}"


def limits(present_values: Iterable[NDArray[np.generic]]) -> tuple[float, float]:
    """The percentiles of the present values of all shown bands together.

    Raises:
        UnusableFileError: reason ``no_values`` if there are none.
    """
    values = np.concatenate([values.ravel() for values in present_values])
    if values.size == 0:
        raise UnusableFileError("no_values", "every pixel is nodata or not finite")
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)


def stretched(values: NDArray[np.generic], present: NDArray[np.bool_], low: float, high: float) -> NDArray[np.uint8]:
    """A band as uint8 (H, W); absent values are 0."""
    scaled = np.where(present, values, low).astype(np.float64)
    scaled = np.clip((scaled - low) / max(high - low, 1e-9), 0, 1) * 255
    return scaled.round().astype(np.uint8)
