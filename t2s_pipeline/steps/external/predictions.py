"""The masks of another project as rows of ``predictions``: matched with samples, and at both sizes that are scored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.lake.predictions import Prediction, predictions_table
from t2s_pipeline.lake.schema import PREDICTION_REJECTS
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, PredictionReject, Size
from t2s_pipeline.steps.external.transposed import transposed_note
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import FULL_SIDE
from t2s_pipeline.vision.masks import Rle


@dataclass(frozen=True)
class MatchedMasks:
    """The masks of a folder or file, as two tables."""

    predictions: pa.Table
    rejects: pa.Table
    """The masks that are not used (surplus, given twice, unreadable), and the samples without a mask (missing)."""
    notes: tuple[str, ...] = ()
    """How masks were read where that is not the plain way, with their number, for people."""


def sizes_of(samples: pa.Table) -> dict[str, Size]:
    """Native height and width of each sample."""
    columns = (samples[name].to_pylist() for name in ("sample_id", "mask"))
    return {key: (mask["height"], mask["width"]) for key, mask in zip(*columns, strict=True)}


def rejects_table(rejects: Iterable[PredictionReject]) -> pa.Table:
    """The rows of ``prediction_rejects``."""
    return pa.Table.from_pylist([vars(reject) for reject in rejects], schema=PREDICTION_REJECTS.schema)


def match_masks(
    entries: Iterable[ForeignMask | PredictionReject], samples: pa.Table, side: int | None = None, question: int = 0
) -> MatchedMasks:
    """Match masks with the samples of a split and bring each to native size and to the square.

    A mask whose size differs from that of its image is taken as a mask of the resized image, with any aspect ratio. It
    is brought to native size by nearest neighbour.

    Args:
        entries: what ``read_masks`` gives.
        samples: of ``SAMPLES``, the whole split.
        side: of the square of the reference protocol, in pixels. By default it is the side of the masks if they are
            squares of one size, else ``FULL_SIDE``.
        question: the question that a mask answers if it does not say so itself.
    """
    sizes = sizes_of(samples)
    questions = samples.select(["sample_id", "questions"]).to_pylist()
    counts = {row["sample_id"]: max(1, len(row["questions"])) for row in questions}
    answers: dict[tuple[str, int], ForeignMask] = {}
    rejects: list[PredictionReject] = []
    for entry in entries:
        if isinstance(entry, PredictionReject):
            rejects.append(entry)
            continue
        sample_id = entry.sample_id
        if sample_id not in sizes:
            rejects.append(PredictionReject(entry.source, "surplus", f"the split has no sample {sample_id}", sample_id))
            continue
        index = entry.question_index
        if index is None:
            index = min(question, counts[sample_id] - 1)
        if not 0 <= index < counts[sample_id]:
            detail = (
                f"the sample has {counts[sample_id]} questions, so no question {index} (--objects: numbers of objects)"
            )
            rejects.append(PredictionReject(entry.source, "surplus", detail, sample_id))
        elif (sample_id, index) in answers:
            rejects.append(PredictionReject(entry.source, "twice", f"question {index} has a mask already", sample_id))
        else:
            answers[sample_id, index] = entry
    answered = {sample_id for sample_id, _ in answers}
    rejects += [PredictionReject("", "missing", "no mask came", key) for key in sizes if key not in answered]
    side = side or _common_side(list(answers.values()), sizes)
    rows = [_prediction(mask, index, sizes[sample_id], side) for (sample_id, index), mask in sorted(answers.items())]
    notes = Counter(mask.note for mask in answers.values() if mask.note is not None)
    messages = [f"{count} masks: {note}" for note, count in sorted(notes.items())]
    transposed = transposed_note(answers.values(), samples)
    return MatchedMasks(
        predictions_table(rows), rejects_table(rejects), (*messages, *([transposed] if transposed else []))
    )


def _common_side(entries: Sequence[ForeignMask], sizes: dict[str, Size]) -> int:
    """The side of the masks that are not of native size, if they are squares of one size; else ``FULL_SIDE``."""
    resized = {
        (entry.mask.height, entry.mask.width)
        for entry in entries
        if entry.mask is not None and (entry.mask.height, entry.mask.width) != sizes[entry.sample_id]
    }
    if len(resized) == 1:
        height, width = resized.pop()
        if height == width:
            return height
    return FULL_SIDE


def _prediction(entry: ForeignMask, index: int, native: Size, side: int) -> Prediction:
    if entry.mask is None:
        status, mask, square_mask = "rejected", _empty(native), _empty((side, side))
    else:
        pixels = masks.decode(entry.mask)
        # These systems say that there is no target by a mask without a target pixel.
        status = "ok" if pixels.any() else "rejected"
        mask, square_mask = _resized(entry.mask, pixels, native), _resized(entry.mask, pixels, (side, side))
    return Prediction(
        sample_id=entry.sample_id,
        question_index=index,
        side=side,
        status=status,
        mask=mask,
        square_mask=square_mask,
    )


def _empty(size: Size) -> Rle:
    """A mask without target pixels."""
    return masks.encode(np.zeros(size, bool))


def _resized(rle: Rle, pixels: NDArray[np.bool_], size: Size) -> Rle:
    """The mask, given in both forms, at another size by nearest neighbour."""
    return rle if pixels.shape == size else masks.encode(masks.nearest(pixels, *size))
