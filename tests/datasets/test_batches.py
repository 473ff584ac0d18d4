"""Batches that are built column by column hold what a dictionary per row would hold."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.datasets import batches as module
from t2s_pipeline.datasets.batches import batches
from t2s_pipeline.datasets.question_choice import FIRST, question_choices
from t2s_pipeline.datasets.records import ImageRecord, NoteRecord, Record, RejectRecord, SampleRecord
from t2s_pipeline.lake.schema import IMAGES, NOTES, REJECTS, SAMPLES, SELECTIONS
from t2s_pipeline.lake.table import Table
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.target_shape import MORPHOLOGIES, TargetShape

TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
TEXTS = st.lists(TEXT, min_size=1, max_size=3).map(tuple)
SIZES = st.integers(1, 100_000)
PLACES = st.none() | st.builds(Place, st.just("EPSG:32632"), st.tuples(*[st.floats(-1e7, 1e7)] * 6))
SHAPES = st.none() | st.builds(TargetShape, st.floats(0, 1000), st.sampled_from(MORPHOLOGIES))
RLES = st.builds(Rle, SIZES, SIZES, TEXT)
RECORDS = st.one_of(
    st.builds(
        ImageRecord, TEXT, TEXT, SIZES, SIZES, st.binary(max_size=60), st.binary(min_size=32, max_size=32), PLACES
    ),
    st.builds(
        SampleRecord,
        TEXT,
        TEXT,
        st.none() | TEXT,
        TEXTS,
        st.lists(TEXT, max_size=3).map(tuple),
        RLES,
        st.integers(0, 10**8),
        SHAPES,
        st.none() | st.lists(TEXT, max_size=3).map(tuple),
    ),
    st.builds(RejectRecord, TEXT, TEXT, TEXT),
    st.builds(NoteRecord, TEXT, TEXT, TEXT, st.booleans()),
)


def row_of(record: Record) -> tuple[Table, dict[str, Any]]:
    match record:
        case ImageRecord():
            row = {name: getattr(record, name) for name in ("image_id", "file_name", "width", "height")}
            row |= {"sha256": record.sha256.hex(), "bytes": record.data}
            row["crs"] = record.place.named_crs if record.place else None
            row["transform"] = list(record.place.transform) if record.place else None
            return IMAGES, row
        case SampleRecord():
            row = {name: getattr(record, name) for name in ("sample_id", "image_id", "category")}
            row |= {"questions": list(record.questions), "answers": list(record.answers)}
            row |= {"mask": record.mask.as_arrow(), "mask_area": record.area, "is_empty": record.area == 0}
            row["contains"] = None if record.contains is None else list(record.contains)
            row["morphology"] = record.shape.morphology if record.shape else None
            row["slenderness"] = record.shape.slenderness if record.shape else None
            return SAMPLES, row
        case RejectRecord():
            return REJECTS, vars(record)
        case NoteRecord():
            return NOTES, vars(record)


@settings(max_examples=150, deadline=None)
@given(records=st.lists(RECORDS, max_size=40), at_once=st.integers(1, 5), size=st.integers(1, 200))
def test_the_columns_hold_the_rows_in_their_order(records, at_once, size):
    rows: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        table, row = row_of(record)
        rows.setdefault(table.name, []).append(row)
        if isinstance(record, SampleRecord):
            choices = question_choices(FIRST, record.sample_id, len(record.questions))
            rows.setdefault(SELECTIONS.name, []).extend(map(vars, choices))
    limits = module.IMAGES_AT_ONCE, module.BYTES_AT_ONCE, module.ROWS_AT_ONCE
    try:
        module.IMAGES_AT_ONCE, module.BYTES_AT_ONCE, module.ROWS_AT_ONCE = at_once, size, at_once
        found: dict[str, list[pa.RecordBatch]] = {}
        for table, batch in batches(FIRST, records):
            batch.validate(full=True)
            assert batch.num_rows
            found.setdefault(table.name, []).append(batch)
    finally:
        module.IMAGES_AT_ONCE, module.BYTES_AT_ONCE, module.ROWS_AT_ONCE = limits
    assert found.keys() == rows.keys()
    for table in (IMAGES, SAMPLES, SELECTIONS, REJECTS, NOTES):
        if table.name in rows:
            expected = pa.Table.from_pylist(rows[table.name], schema=table.schema)
            assert pa.Table.from_batches(found[table.name]).equals(expected)
