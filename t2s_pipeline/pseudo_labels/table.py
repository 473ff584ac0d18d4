"""The pseudo-labels of a split as rows of the table ``pseudo_labels``, and back."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.distribution.pools import Cluster, large_pool
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import PSEUDO_LABELS
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.pseudo_labels.label import Label, Labelling, on_square
from t2s_pipeline.pseudo_labels.labellings import parameters
from t2s_pipeline.vision.geometry import FULL_SIDE
from t2s_pipeline.vision.masks import ArrowRle, Rle, decode_by_row

PIECE = 32
"""Masks that a process labels at a time."""

ENOUGH_FOR_PROCESSES = 400
"""The number of masks from which on starting processes costs less time than it saves."""


def label_samples(
    samples: pa.Table, labelling: Labelling, processes: int = 1, cluster: Cluster | None = None
) -> pa.Table:
    """Rows of ``pseudo_labels``, in the order of the samples.

    An empty target has no rows. A target of which the labelling labels nothing has none either.

    Args:
        samples: the columns ``sample_id`` and ``mask`` of the table ``samples``.
        labelling: how the masks are labelled.
        processes: how many processes share the work, if there is enough of it.
        cluster: shares the work in place of processes of this machine.

    Raises:
        InputError: if a mask is malformed.
    """
    ids, rles = (samples[column].to_pylist() for column in ("sample_id", "mask"))
    several = (processes > 1 or cluster is not None) and len(ids) >= ENOUGH_FOR_PROCESSES
    masks = list(zip(ids, rles, strict=True))
    pieces = [masks[start : start + PIECE] for start in range(0, len(masks), PIECE)]
    rows_of = partial(_rows_of_piece, labelling)
    with large_pool(processes, cluster) if several else nullcontext() as pool:
        by_piece = map(rows_of, pieces) if pool is None else pool.in_order(rows_of, pieces)
        return pa.Table.from_pylist([row for rows in by_piece for row in rows], schema=PSEUDO_LABELS.schema)


def _rows_of_piece(labelling: Labelling, masks: Sequence[tuple[str, ArrowRle]]) -> list[dict[str, Any]]:
    return [row for sample_id, rle in masks for row in _rows(labelling, sample_id, rle)]


def _rows(labelling: Labelling, sample_id: str, rle: ArrowRle) -> list[dict[str, Any]]:
    mask = decode_by_row(Rle.from_arrow(rle))
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
