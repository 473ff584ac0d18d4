"""Every value that a query can give has a form for people and one for programs."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.commands.row_formats import plain, print_table, write_csv, write_json, write_parquet

MIXED = pa.table(
    {
        "text": ['a, "b"\n[red]', None],
        "whole": [1, None],
        "real": [0.123456, float("nan")],
        "yes": [True, None],
        "bytes": [b"\x00\xff", None],
        "list": [["x", None], []],
        "struct": [{"height": 2, "width": 3, "counts": "6"}, None],
        "map": pa.array([[("k", 1.5)], None], type=pa.map_(pa.string(), pa.float64())),
        "when": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None],
        "span": [timedelta(seconds=90), None],
        "sum": pa.array([Decimal(10**20), None], type=pa.decimal128(38, 0)),
        "fraction": pa.array([Decimal("2.50"), None], type=pa.decimal128(5, 2)),
    }
)


def as_json(rows: pa.Table) -> list[dict]:
    out = io.StringIO()
    write_json(rows, out)
    return json.loads(out.getvalue())


def as_csv(rows: pa.Table) -> list[dict]:
    out = io.StringIO()
    write_csv(rows, out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_every_type_has_a_json_form():
    first, second = as_json(MIXED)
    assert first == {
        "text": 'a, "b"\n[red]',
        "whole": 1,
        "real": 0.123456,
        "yes": True,
        "bytes": "AP8=",
        "list": ["x", None],
        "struct": {"height": 2, "width": 3, "counts": "6"},
        "map": [["k", 1.5]],
        "when": "2026-01-02T03:04:05+00:00",
        "span": "0:01:30",
        "sum": 10**20,
        "fraction": 2.5,
    }
    assert all(value in (None, []) for value in second.values())


def test_no_rows_are_an_empty_list_and_a_header():
    assert as_json(MIXED.slice(0, 0)) == []
    out = io.StringIO()
    write_csv(MIXED.slice(0, 0), out)
    assert out.getvalue() == ",".join(MIXED.column_names) + "\n"


def test_csv_keeps_commas_quotes_and_line_ends():
    first, second = as_csv(MIXED)
    assert first["text"] == 'a, "b"\n[red]'
    assert json.loads(first["list"]) == ["x", None]
    assert json.loads(first["struct"])["width"] == 3
    assert second["text"] == ""


def test_two_columns_of_one_name_keep_both_values(tmp_path):
    rows = pa.table([[1], [2], [3]], names=["a", "a", "a_2"])
    assert as_json(rows) == [{"a": 1, "a_2": 2, "a_2_2": 3}]
    write_parquet(rows, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["a", "a_2", "a_2_2"]


def test_people_see_short_cells_and_nothing_is_taken_for_markup(capsys):
    print_table(MIXED, limit=10)
    shown = capsys.readouterr().out
    assert 'a, "b" [red]' in shown
    assert "2 bytes" in shown
    assert "mask 2×3" in shown
    assert "0.1235" in shown
    assert "100000000000000000000" in shown
    assert "2 rows" in shown


@pytest.mark.parametrize(
    ("value", "cell"),
    [(0.0, "0.00"), (31.254, "31.25"), (-7.0, "-7.00"), (0.00012345, "0.0001234"), (2.5e12, "2.5e+12")],
)
def test_numbers_show_what_matters(capsys, value, cell):
    print_table(pa.table({"x": [value]}), limit=1)
    assert capsys.readouterr().out.split()[1] == cell


def test_a_long_text_is_cut(capsys):
    print_table(pa.table({"x": ["y" * 500]}), limit=1)
    assert capsys.readouterr().out.split()[1] == "y" * 59 + "…"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_any_value_becomes_strict_json(value):
    json.dumps(plain(value), allow_nan=False)
