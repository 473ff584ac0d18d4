"""The columns of the table ``samples``: a target, its questions, and its shape."""

from typing import Any

import pyarrow as pa

from t2s_pipeline.vision.mask_type import RLE_TYPE

STR, LONG, REAL, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

SAMPLE_COLUMNS: dict[str, Any] = {
    "sample_id": (STR, "unique within dataset and split"),
    "image_id": (STR, "the image of the sample; files with the same bytes are one image"),
    "category": (STR, "class in the dataset, where it has classes"),
    "questions": (pa.list_(STR), "the questions, in the order of the source"),
    "answers": (pa.list_(STR), "the answers in words that the source gives"),
    "mask": (RLE_TYPE, "ground truth at the native size of the image"),
    "mask_area": (LONG, "pixels of the target, at native size"),
    "is_empty": (BOOL, "true if there is no target"),
    "contains": (pa.list_(STR), "the categories that are visible in the image; null where the dataset does not say so"),
    "morphology": (
        STR,
        "regular, elongated, thin or irregular; null without a target, or if an earlier release read it",
    ),
    "slenderness": (REAL, "length over width of the target; a square has 2.25, a long rectangle of n to 1 about n"),
}
"""Column → type and meaning. Those from ``contains`` on came after release 0.2 and are null in older files."""
