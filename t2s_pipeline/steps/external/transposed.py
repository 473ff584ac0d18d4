"""Whether square masks look transposed: nothing in their files tells it, but the truth does."""

from collections.abc import Iterable
from itertools import islice

import pyarrow as pa

from t2s_pipeline.steps.external.foreign_mask import ForeignMask
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle

SAMPLED = 200
"""Masks that are compared."""
FEWEST = 10
"""Masks below which chance could decide."""
CLEARLY = 2
"""The transposed masks must agree better by this factor."""


def transposed_note(answers: Iterable[ForeignMask], samples: pa.Table) -> str | None:
    """A warning if square masks agree far better with the truth after rows and columns are exchanged; else None.

    Only the warning is given. The masks are scored as they are: the truth must not decide how an answer is read.

    Args:
        answers: the masks.
        samples: of ``SAMPLES``, with the truth.
    """
    truths = dict(zip(samples["sample_id"].to_pylist(), samples["mask"].to_pylist(), strict=True))
    squares = (
        (one.sample_id, one.mask) for one in answers if one.mask is not None and one.mask.height == one.mask.width
    )
    plain, transposed, count = 0.0, 0.0, 0
    for sample_id, mask in islice(squares, SAMPLED):
        pixels = masks.decode(mask)
        truth = masks.nearest(masks.decode(Rle.from_arrow(truths[sample_id])), *pixels.shape)
        if not pixels.any() or not truth.any():
            continue
        shared, union = masks.intersection_union(pixels, truth)
        shared_transposed, union_transposed = masks.intersection_union(pixels.T, truth)
        plain += shared / union
        transposed += shared_transposed / union_transposed
        count += 1
    if count < FEWEST or transposed <= CLEARLY * plain:
        return None
    return (
        f"WARNING: with rows and columns exchanged, the masks would agree better with the truth (mean IoU "
        f"{transposed / count:.2f}, not {plain / count:.2f}): does their project count pixels row by row?"
    )
