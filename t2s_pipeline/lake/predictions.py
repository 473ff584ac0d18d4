"""One row of the table ``predictions``, made by our segmenter or from the masks of another project."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from t2s_pipeline.lake.prompts import prompts_to_arrow
from t2s_pipeline.lake.schema import PREDICTIONS
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.masks import Rle


@dataclass(frozen=True)
class Prediction:
    """What became of one answer.

    Attributes:
        sample_id: the sample.
        question_index: which of its questions was answered.
        side: of the square, in pixels, for the reference protocol; the prompts are in its pixels.
        status: ``ok``, ``rejected`` (the answer says that there is no target), ``format_error``, ``empty_mask`` or
            ``error``.
        detail: the reason, if the status is not ``ok``.
        repaired: whether the JSON of the answer had to be repaired.
        prompts: the objects of the answer, in pixels of the square; None if there was no answer to read.
        mask: at the native size of the image, for the strict protocol; None if there is none.
        square_mask: at the size of the square, for the reference protocol; None if there is none.
        square_status: the status with the parser of the reference protocol, if it differs.
        scores: the segmenter's own estimate of each object's IoU; None if it was not asked.
    """

    sample_id: str
    question_index: int
    side: int
    status: str
    detail: str | None = None
    repaired: bool = False
    prompts: tuple[PromptObject, ...] | None = None
    mask: Rle | None = None
    square_mask: Rle | None = None
    square_status: str | None = None
    scores: tuple[float, ...] | None = None


def predictions_table(rows: Iterable[Prediction]) -> pa.Table:
    """The rows as a table of ``PREDICTIONS``."""
    values = [
        {
            **vars(row),
            "prompts": None if row.prompts is None else prompts_to_arrow(row.prompts),
            "mask": None if row.mask is None else row.mask.as_arrow(),
            "square_mask": None if row.square_mask is None else row.square_mask.as_arrow(),
        }
        for row in rows
    ]
    return pa.Table.from_pylist(values, schema=PREDICTIONS.schema)
