"""Which pixels of an array of values are the target: masks, probabilities, logits, or numbers of objects."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision.image_files import UnusableFileError

MOST_OBJECTS = 32
"""An image with more different values than this holds probabilities, and not the numbers of objects."""


@dataclass(frozen=True)
class SoftTarget:
    """A boolean mask (H, W), and how it was read if that is not the plain way."""

    mask: NDArray[np.bool_]
    note: str | None = None


def target_of(values: NDArray[Any], threshold: float | None) -> SoftTarget:
    """The target of an array of values (H, W). A value that is not finite is no target.

    Without a threshold:

    * one value beside zero: every value that is not zero is target;
    * whole numbers up to the largest of their type, or more than ``MOST_OBJECTS`` different ones: probabilities, target
      above the half;
    * other whole numbers: the numbers of objects, target where they are not zero;
    * real numbers from 0 to 1: probabilities, target above 0.5;
    * real numbers of which some are negative: logits, target above 0.

    Raises:
        UnusableFileError: reason ``unclear_values``, for other numbers.
    """
    if values.dtype == np.bool_:
        return SoftTarget(values)
    if values.dtype.kind not in "uif":
        raise UnusableFileError("unclear_values", f"values of the type {values.dtype} are no mask")
    finite = np.isfinite(values)
    if threshold is not None:
        return SoftTarget(finite & (values > threshold))
    distinct = np.unique(values[finite])
    if distinct.size <= 2 and distinct.size - np.count_nonzero(distinct == 0) <= 1:
        return SoftTarget(finite & (values != 0))
    low, high = distinct[0], distinct[-1]
    if values.dtype.kind == "u" and (high == np.iinfo(values.dtype).max or distinct.size > MOST_OBJECTS):
        half = np.iinfo(values.dtype).max // 2
        return SoftTarget(
            values > half, f"values between 0 and {2 * half + 1} were read as probabilities: target above {half}"
        )
    if values.dtype.kind in "ui" and low >= 0 and distinct.size <= MOST_OBJECTS:
        return SoftTarget(values != 0, "several values were read as numbers of objects: all that are not 0 are target")
    if values.dtype.kind == "f" and 0 <= low and high <= 1:
        return SoftTarget(finite & (values > 0.5), "values from 0 to 1 were read as probabilities: target above 0.5")
    if values.dtype.kind == "f" and low < 0:
        return SoftTarget(finite & (values > 0), "values below and above 0 were read as logits: target above 0")
    raise UnusableFileError("unclear_values", f"values from {low:g} to {high:g}: give --threshold")
