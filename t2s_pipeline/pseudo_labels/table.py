"""A split's pseudo-labels as rows of the table, and back."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.lake.schema import PSEUDO_LABELS
from t2s_pipeline.lake.store import Partition, read_partition
from t2s_pipeline.pseudo_labels.label import Label, on_square
from t2s_pipeline.pseudo_labels.labellings import Labelling, parameters
from t2s_pipeline.vision.geometry import FULL_SIDE
from t2s_pipeline.vision.masks import Rle, decode

ENOUGH_FOR_PROCESSES = 400
"""Masks from which on starting processes costs less than it saves."""


def label_samples(samples: pa.Table, labelling: Labelling, processes: int = 1) -> pa.Table:
    """Rows of ``pseudo_labels`` for the columns ``sample_id`` and ``mask``, in their order.

    An empty target has no rows, nor has one of which the labelling leaves nothing.

    Raises:
        InputError: if a mask is malformed.
    """
    ids, rles = (samples[column].to_pylist() for column in ("sample_id", "mask"))
    several = processes > 1 and len(ids) >= ENOUGH_FOR_PROCESSES
    # Started afresh and not forked: the orchestrator has threads.
    with ProcessPoolExecutor(processes, get_context("spawn")) if several else nullcontext() as pool:
        make = partial(_rows, labelling)
        made = pool.map(make, ids, rles, chunksize=32) if several else map(make, ids, rles)
        return pa.Table.from_pylist([row for rows in made for row in rows], schema=PSEUDO_LABELS.schema)


def _rows(labelling: Labelling, sample_id: str, rle: dict) -> list[dict]:
    mask = decode(Rle.from_arrow(rle))
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


def read_labels(lake: Path, method: str, where: Partition) -> dict[str, tuple[Label, ...]]:
    """Labels by sample, in pixels of the square of ``FULL_SIDE`` whatever the one they were made on.

    Raises:
        NotMaterializedError: if the labels have not been made.
    """
    rows = read_partition(lake, PSEUDO_LABELS, {"method": method, **where})
    found: dict[str, list[Label]] = {}
    for row in rows.sort_by([("sample_id", "ascending"), ("instance", "ascending")]).to_pylist():
        found.setdefault(row["sample_id"], []).append(_label(row))
    return {sample_id: tuple(labels) for sample_id, labels in found.items()}


def _label(row: dict) -> Label:
    scale = FULL_SIDE / row["side"]
    box = tuple(value * scale for value in row["bbox"])
    return Label(box, tuple((x * scale, y * scale) for x, y in row["points"]), row["area"])
