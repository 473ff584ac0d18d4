"""Rows of the lake's tables, as the results page reads them."""

from collections.abc import Iterable, Set
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake import store
from t2s_pipeline.lake.table import Table

Row = dict[str, Any]
"""A row by column name. ``t2s tables`` lists the columns of each table."""


def all_rows(lake: LakePlace, table: Table) -> list[Row]:
    """Every row of a table without partitions; none if the table does not exist yet."""
    if not store.list_partitions(lake, table):
        return []
    rows: list[Row] = store.read_partition(lake, table, {}).to_pylist()
    return rows


def first_rows(
    batches: Iterable[pa.RecordBatch], key: str, keys: Set[str], first_question: bool = False
) -> dict[str, Row]:
    """The first row of each key. Reading stops at the last of them.

    Args:
        batches: of one partition, in their order.
        key: the name of the column with the keys.
        keys: the keys whose rows are needed.
        first_question: skip rows whose ``question_index`` is not 0.
    """
    rows: dict[str, Row] = {}
    for batch in batches:
        names = batch.column(key).to_pylist()
        index = batch.column("question_index").to_pylist() if first_question else None
        for place, name in enumerate(names):
            if name in keys and name not in rows and (index is None or index[place] == 0):
                rows[name] = batch.slice(place, 1).to_pylist()[0]
        if len(rows) == len(keys):
            break
    return rows
