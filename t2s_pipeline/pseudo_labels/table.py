"""The pseudo-labels of a split as rows of the table ``pseudo_labels``, and back."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.children import process_pool
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import PSEUDO_LABELS
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.pseudo_labels.label import Label, Labelling, on_square
from t2s_pipeline.pseudo_labels.labellings import parameters
from t2s_pipeline.vision.geometry import FULL_SIDE
from t2s_pipeline.vision.masks import ArrowRle, Rle, decode

ENOUGH_FOR_PROCESSES = 400
"""The number of masks from which on starting processes costs less time than it saves."""


def label_samples(samples: pa.Table, labelling: Labelling, processes: int = 1) -> pa.Table:
    """Rows of ``pseudo_labels``, in the order of the samples.

    An empty target has no rows. A target of which the labelling labels nothing has none either.

    Args:
        samples: the columns ``sample_id`` and ``mask`` of the table ``samples``.
        labelling: how the masks are labelled.
        processes: how many processes share the work, if there is enough of it.

    Raises:
        InputError: if a mask is malformed.
    """
    ids, rles = (samples[column].to_pylist() for column in ("sample_id", "mask"))
    several = processes > 1 and len(ids) >= ENOUGH_FOR_PROCESSES
    with process_pool(processes) if several else nullcontext() as pool:
        rows_of = partial(_rows, labelling)
        by_sample = map(rows_of, ids, rles) if pool is None else pool.map(rows_of, ids, rles, chunksize=32)
        return pa.Table.from_pylist([row for rows in by_sample for row in rows], schema=PSEUDO_LABELS.schema)


def _rows(labelling: Labelling, sample_id: str, rle: ArrowRle) -> list[dict[str, Any]]:
    # Row by row in memory, as the labellings need it.
    mask = np.ascontiguousarray(decode(Rle.from_arrow(rle)))
    labels = labelling.label(mask)
    if not labels:
        return []
    shown = int(np.count_nonzero(on_square(mask, labelling.side)))
    common = {
        "sample_id": sample_id,
        "side": labelling.side,
        "left_out": shown - sum(label.area for label in labels),
        "parameters": parameters(labelling),
    }
    return [
        {**common, "instance": index, "bbox": list(label.bbox), "points": [list(point) for point in label.points]}
        | {"area": label.area}
        for index, label in enumerate(labels)
    ]


def read_labels(lake: LakePlace, method: str, where: Partition) -> dict[str, tuple[Label, ...]]:
    """Labels by sample, in pixels of the square of ``FULL_SIDE``, whatever the square they were made on.

    Args:
        lake: where the tables are.
        method: the name of the labelling.
        where: dataset and split.

    Raises:
        NotMaterializedError: if the labels have not been made.
    """
    rows = read_partition(lake, PSEUDO_LABELS, {"method": method, **where})
    by_sample: dict[str, list[Label]] = {}
    for row in rows.sort_by([("sample_id", "ascending"), ("instance", "ascending")]).to_pylist():
        by_sample.setdefault(row["sample_id"], []).append(_label(row))
    return {sample_id: tuple(labels) for sample_id, labels in by_sample.items()}


def _label(row: dict[str, Any]) -> Label:
    scale = FULL_SIDE / row["side"]
    x0, y0, x1, y1 = (value * scale for value in row["bbox"])
    return Label((x0, y0, x1, y1), tuple((x * scale, y * scale) for x, y in row["points"]), row["area"])
