"""Samples and predictions small enough to score by hand."""

import numpy as np
import pyarrow as pa

from t2s_pipeline.lake.schema import PREDICTIONS, SAMPLE_SCORES, SAMPLES
from t2s_pipeline.vision import masks


def rectangle(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    """A mask (height, width) that is on inside the rectangle."""
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def samples(**truths: np.ndarray | tuple[np.ndarray, int]) -> pa.Table:
    """A split with a sample a keyword: its truth, or its truth and how many questions it has (default 1)."""
    rows = []
    for sample_id, given in truths.items():
        truth, questions = given if isinstance(given, tuple) else (given, 1)
        rows.append(
            {
                "sample_id": sample_id,
                "image_id": f"image of {sample_id}",
                "category": None,
                "questions": [f"Question {index}?" for index in range(questions)],
                "answers": [],
                "mask": masks.encode(truth).as_arrow(),
                "mask_area": int(truth.sum()),
                "is_empty": not truth.any(),
            }
        )
    return pa.Table.from_pylist(rows, schema=SAMPLES.schema)


def prediction(
    sample_id: str,
    mask: np.ndarray | None,
    status: str = "ok",
    question_index: int = 0,
    square: np.ndarray | None = None,
    side: int = 4,
) -> dict:
    """A row of predictions; ``square`` defaults to ``mask`` at the square's size."""
    if square is None and mask is not None:
        square = masks.nearest(mask, side, side)
    return {
        "sample_id": sample_id,
        "question_index": question_index,
        "status": status,
        "side": side,
        "mask": None if mask is None else masks.encode(mask).as_arrow(),
        "square_mask": None if square is None else masks.encode(square).as_arrow(),
    }


def predictions(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PREDICTIONS.schema)


def scores(*rows: dict) -> pa.Table:
    """Rows of sample_scores; what is not given is a plain answered target."""
    plain = {
        "question_index": 0,
        "intersection": 0,
        "union": 100,
        "iou": 0.0,
        "hit": False,
        "gt_empty": False,
        "pred_empty": False,
        "status": "ok",
    }
    full = [{**plain, "image_id": f"image of {row['sample_id']}", **row} for row in rows]
    return pa.Table.from_pylist(full, schema=SAMPLE_SCORES.schema)
