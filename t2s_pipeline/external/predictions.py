"""Another project's masks as rows of ``predictions``: matched with the samples, at both sizes that are scored."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from t2s_pipeline.external.masks import ForeignMask, PredictionReject, Size
from t2s_pipeline.lake.schema import PREDICTION_REJECTS, PREDICTIONS
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import FULL_SIDE
from t2s_pipeline.vision.masks import Rle


@dataclass(frozen=True)
class MatchedMasks:
    """What was made of a folder or file."""

    predictions: pa.Table
    rejects: pa.Table
    """What was set aside (surplus, given twice, unreadable), and the samples for which nothing came (missing)."""

    @property
    def reasons(self) -> Counter[str]:
        """How many of each reason."""
        return Counter(self.rejects["reason"].to_pylist())


def sizes_of(samples: pa.Table) -> dict[str, Size]:
    """Native height and width of each sample."""
    columns = (samples[name].to_pylist() for name in ("sample_id", "mask"))
    return {key: (mask["height"], mask["width"]) for key, mask in zip(*columns, strict=True)}


def take(
    found: Iterable[ForeignMask | PredictionReject], samples: pa.Table, side: int | None = None, question: int = 0
) -> MatchedMasks:
    """Match masks with the samples of a split and bring each to native size and to the square.

    A mask of another size than its image's is taken for one of the resized image, whatever its aspect ratio, and is
    brought back by nearest neighbour.

    Args:
        samples: of ``SAMPLES``, the whole split.
        side: of the reference protocol's square; by default that of the masks, if they are squares of one size, else
            ``FULL_SIDE``.
        question: which question is answered by a mask that does not say.
    """
    sizes = sizes_of(samples)
    asked = {
        row["sample_id"]: max(1, len(row["questions"]))
        for row in samples.select(["sample_id", "questions"]).to_pylist()
    }
    kept: dict[tuple[str, int], ForeignMask] = {}
    rejects: list[PredictionReject] = []
    for one in found:
        if isinstance(one, PredictionReject):
            rejects.append(one)
            continue
        if one.sample_id not in sizes:
            rejects.append(
                PredictionReject(one.source, "surplus", f"the split has no sample {one.sample_id}", one.sample_id)
            )
            continue
        index = one.question_index
        if index is None:
            index = min(question, asked[one.sample_id] - 1)
        if not 0 <= index < asked[one.sample_id]:
            told = f"the sample has {asked[one.sample_id]} questions, so no question {index}"
            rejects.append(PredictionReject(one.source, "surplus", told, one.sample_id))
        elif (one.sample_id, index) in kept:
            rejects.append(PredictionReject(one.source, "twice", f"question {index} has a mask already", one.sample_id))
        else:
            kept[one.sample_id, index] = one
    answered = {sample_id for sample_id, _ in kept}
    rejects += [PredictionReject("", "missing", "no mask came", key) for key in sizes if key not in answered]
    side = side or _common_side(kept.values(), sizes)
    rows = [_row(one, index, sizes[one.sample_id], side) for (_, index), one in sorted(kept.items())]
    return MatchedMasks(
        pa.Table.from_pylist(rows, schema=PREDICTIONS.schema),
        pa.Table.from_pylist([vars(one) for one in rejects], schema=PREDICTION_REJECTS.schema),
    )


def _common_side(given: Iterable[ForeignMask], sizes: dict[str, Size]) -> int:
    found = {
        (one.mask.height, one.mask.width)
        for one in given
        if one.mask is not None and (one.mask.height, one.mask.width) != sizes[one.sample_id]
    }
    if len(found) == 1:
        height, width = found.pop()
        if height == width:
            return height
    return FULL_SIDE


def _row(one: ForeignMask, index: int, native: Size, side: int) -> dict:
    row = {"sample_id": one.sample_id, "question_index": index, "side": side, "repaired": False}
    if one.mask is None:
        empty = {size: masks.encode(np.zeros(size, bool)).as_arrow() for size in (native, (side, side))}
        return {**row, "status": "rejected", "mask": empty[native], "square_mask": empty[side, side]}
    whole = masks.decode(one.mask)
    return {
        **row,
        # A mask without a pixel is how these systems say that there is no target.
        "status": "ok" if whole.any() else "rejected",
        "mask": _at(one.mask, whole, native).as_arrow(),
        "square_mask": _at(one.mask, whole, (side, side)).as_arrow(),
    }


def _at(rle: Rle, whole: np.ndarray, size: Size) -> Rle:
    return rle if whole.shape == size else masks.encode(masks.nearest(whole, *size))
