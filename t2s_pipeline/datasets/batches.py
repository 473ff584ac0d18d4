"""Records of a split → batches of rows of its tables, built column by column."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from t2s_pipeline.datasets.question_choice import Selection, question_choices
from t2s_pipeline.datasets.records import ImageRecord, NoteRecord, Record, RejectRecord, SampleRecord
from t2s_pipeline.lake.schema import IMAGES, NOTES, REJECTS, SAMPLES, SELECTIONS
from t2s_pipeline.lake.table import Table
from t2s_pipeline.vision.mask_type import RLE_TYPE
from t2s_pipeline.vision.masks import Rle

IMAGES_AT_ONCE = 16
BYTES_AT_ONCE = 32 * 1024 * 1024
ROWS_AT_ONCE = 1024

_OF_IMAGES: Mapping[str, Callable[[ImageRecord], Any]] = {
    "sha256": lambda image: image.sha256.hex(),
    "bytes": attrgetter("data"),
    "crs": lambda image: image.place.named_crs if image.place else None,
    "transform": lambda image: image.place.transform if image.place else None,
}
_OF_SAMPLES: Mapping[str, Callable[[SampleRecord], Any]] = {
    "mask_area": attrgetter("area"),
    "is_empty": lambda sample: sample.area == 0,
    "morphology": lambda sample: sample.shape.morphology if sample.shape else None,
    "slenderness": lambda sample: sample.shape.slenderness if sample.shape else None,
}
"""The value of a column in a record. A column that is not named here is the attribute of its name."""


def batches(published_rule: str, records: Iterable[Record]) -> Iterator[tuple[Table, pa.RecordBatch]]:
    """The records as rows of their tables, a few at a time, in their order.

    Args:
        published_rule: the rule by which the dataset's published numbers choose a question.
        records: of a split.
    """
    images: list[ImageRecord] = []
    samples: list[SampleRecord] = []
    choices: list[Selection] = []
    rejects: list[RejectRecord] = []
    notes: list[NoteRecord] = []
    small: tuple[tuple[Table, list[Any], Mapping[str, Callable[[Any], Any]]], ...] = (
        (SAMPLES, samples, _OF_SAMPLES),
        (SELECTIONS, choices, {}),
        (REJECTS, rejects, {}),
        (NOTES, notes, {}),
    )
    size = 0
    for record in records:
        match record:
            case ImageRecord():
                images.append(record)
                size += len(record.data)
            case SampleRecord():
                samples.append(record)
                choices += question_choices(published_rule, record.sample_id, len(record.questions))
            case RejectRecord():
                rejects.append(record)
            case NoteRecord():
                notes.append(record)
        if len(images) == IMAGES_AT_ONCE or size > BYTES_AT_ONCE:
            yield IMAGES, _taken(IMAGES, images, _OF_IMAGES)
            size = 0
        for table, rows, values in small:
            if len(rows) >= ROWS_AT_ONCE:
                yield table, _taken(table, rows, values)
    for table, rows, values in ((IMAGES, images, _OF_IMAGES), *small):
        if rows:
            yield table, _taken(table, rows, values)


def _taken(table: Table, records: list[Any], values: Mapping[str, Callable[[Any], Any]]) -> pa.RecordBatch:
    """Records as rows of a table. They are taken out of the list, so that no image is in memory twice for long."""
    columns = [
        _array(list(map(values.get(column.name) or attrgetter(column.name), records)), column.type)
        for column in table.columns
    ]
    records.clear()
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """The values of a column."""
    if pa.types.is_large_binary(kind):
        return _file_array(values)
    if kind == RLE_TYPE:
        return _mask_array(values)
    return pa.array(values, kind)


def _file_array(files: list[bytes]) -> pa.LargeBinaryArray:
    """Files in one block of Arrow's memory. Each is copied once, which Arrow's own way does several times."""
    ends = np.fromiter(accumulate(map(len, files), initial=0), np.int64, len(files) + 1)
    block = pa.allocate_buffer(int(ends[-1]))
    view = memoryview(block).cast("B")
    for start, file in zip(ends.tolist(), files, strict=False):
        view[start : start + len(file)] = file
    return pa.Array.from_buffers(pa.large_binary(), len(files), [None, pa.py_buffer(ends), block])


def _mask_array(masks: list[Rle]) -> pa.StructArray:
    parts = [pa.array([getattr(mask, part.name) for mask in masks], part.type) for part in RLE_TYPE]
    return pa.StructArray.from_arrays(parts, fields=list(RLE_TYPE))
