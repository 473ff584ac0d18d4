"""Every value of a query is printed as DuckDB prints it: as a table, as JSON and as CSV."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

import hypothesis  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from t2s_pipeline.commands.row_formats import print_table, write_csv, write_json, write_parquet  # noqa: E402
from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.lake.query_texts import Form, QueryTexts, query_texts, streamed_for_parquet  # noqa: E402
from t2s_pipeline.lake.table_views import text_literal  # noqa: E402

VALUES = {
    "1::TINYINT": 1,
    "18446744073709551615::UBIGINT": 18446744073709551615,
    "(-170141183460469231731687303715884105728)::HUGEINT": -170141183460469231731687303715884105728,
    "340282366920938463463374607431768211455::UHUGEINT": 340282366920938463463374607431768211455,
    "'123456789012345678901234567890123456789012345'::BIGNUM": 123456789012345678901234567890123456789012345,
    "1.50::DECIMAL(10, 2)": 1.5,
    "0.1::FLOAT": 0.1,
    "0.1::DOUBLE + 0.2": 0.30000000000000004,
    "1e300": 1e300,
    "'nan'::DOUBLE": "nan",
    "'inf'::FLOAT": "inf",
    "'-inf'::DOUBLE": "-inf",
    "true": True,
    "'a, \"b\"'": 'a, "b"',
    "''": "",
    "' '": " ",
    "'two' || chr(10) || 'lines'": "two\nlines",
    "'Zürich'": "Zürich",
    "NULL": None,
    "NULL::INTEGER": None,
    "NULL::INTEGER[]": None,
    "DATE '2026-01-02'": "2026-01-02",
    "DATE '0044-03-15 (BC)'": "0044-03-15 (BC)",
    "'infinity'::DATE": "infinity",
    "'-infinity'::TIMESTAMP": "-infinity",
    "'-infinity'::TIMESTAMPTZ": "-infinity",
    "TIMESTAMP_NS '2026-01-01 00:00:00.123456789'": "2026-01-01 00:00:00.123456789",
    "TIMESTAMP_S '2026-01-01 00:00:00'": "2026-01-01 00:00:00",
    "TIMESTAMP_MS '2026-01-01 00:00:00.001'": "2026-01-01 00:00:00.001",
    "'290000-01-01'::TIMESTAMP": "290000-01-01 00:00:00",
    "TIME '12:00:00.5'": "12:00:00.5",
    "'12:00:00+02'::TIMETZ": "12:00:00+02",
    "INTERVAL '1 month 2 days 3.5 seconds'": "1 month 2 days 00:00:03.5",
    "'\\xAA\\x00b'::BLOB": "\\xAA\\x00b",
    "'0101'::BIT": "0101",
    "'8f14e45f-ceea-467f-a0e6-32c5d1a0c7f1'::UUID": "8f14e45f-ceea-467f-a0e6-32c5d1a0c7f1",
    "'x'::ENUM('x', 'y')": "x",
    "['a', NULL]": ["a", None],
    "[1, 2]::INTEGER[2]": [1, 2],
    "['inf'::DOUBLE, 'nan'::DOUBLE, -1]": ["inf", "nan", -1],
    "['NaN, -Infinity']": ["NaN, -Infinity"],
    "{'height': 2, 'counts': '6\\7'}": {"height": 2, "counts": "6\\7"},
    "MAP {'k': 1.5}": {"k": 1.5},
    "'{\"a\": [1]}'::JSON": {"a": [1]},
}
"""A value of each type of DuckDB, and what it is in JSON."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    place = tmp_path_factory.mktemp("home")
    return Settings(place, place / "python", place / "sql")


def printed_by_duckdb(expression: str) -> str | None:
    return duckdb.execute(f"SELECT CAST({expression} AS VARCHAR)").fetchall()[0][0]


def csv_of(settings: Settings, sql: str) -> str:
    out = io.StringIO()
    write_csv(query_texts(settings, sql, Form.TEXT), out)
    return out.getvalue()


def json_of(settings: Settings, sql: str) -> list[dict]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    out = io.StringIO()
    write_json(query_texts(settings, sql, Form.JSON), out)
    return json.loads(out.getvalue(), parse_constant=refuse)


def all_values(settings: Settings) -> str:
    return "SELECT " + ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(VALUES))


def test_csv_holds_what_duckdb_prints(settings):
    row = list(csv.reader(io.StringIO(csv_of(settings, all_values(settings)))))[1]
    assert row == [printed_by_duckdb(expression) or "" for expression in VALUES]


def test_json_holds_every_value_in_full(settings):
    (row,) = json_of(settings, all_values(settings))
    assert list(row.values()) == list(VALUES.values())


def test_a_table_shows_what_duckdb_prints_up_to_its_width(settings, capsys):
    for expression in VALUES:
        print_table(query_texts(settings, f"SELECT {expression} AS x", Form.CUT), limit=1)
        shown = capsys.readouterr().out.splitlines()[1].strip()
        printed = printed_by_duckdb(expression)
        assert shown == " ".join(("NULL" if printed is None else printed).split())


def test_decimals_keep_their_zeros_as_a_json_number(settings):
    out = io.StringIO()
    write_json(query_texts(settings, "SELECT 1.50::DECIMAL(10, 2) AS x", Form.JSON), out)
    assert out.getvalue() == '[\n {"x": 1.50}\n]\n'


@pytest.mark.parametrize("rows", ["(NULL), ('')", "(''), (NULL)"])
def test_null_in_csv_is_empty_and_an_empty_text_is_not(settings, rows):
    expected = {"(NULL), ('')": 'x\n\n""\n', "(''), (NULL)": 'x\n""\n\n'}[rows]
    assert csv_of(settings, f"FROM (VALUES {rows}) AS t(x)") == expected


def test_no_rows_are_an_empty_list_and_a_header(settings):
    nothing = "SELECT 1 AS a, [1] AS b WHERE false"
    assert json_of(settings, nothing) == []
    assert csv_of(settings, nothing) == "a,b\n"


@hypothesis.settings(max_examples=25)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=4))
def test_any_text_survives_csv_and_json(settings, texts):
    sql = "SELECT " + ", ".join(f"{text_literal(text)} AS c{number}" for number, text in enumerate(texts))
    written = io.StringIO(csv_of(settings, sql), newline="")
    assert list(csv.reader(written))[1] == texts
    assert list(json_of(settings, sql)[0].values()) == texts


@hypothesis.settings(max_examples=25)
@given(
    st.integers(-(2**127), 2**127 - 1),
    st.decimals(-(10**20) + 1, 10**20 - 1, places=18),
    st.floats(),
    st.dates(),
)
def test_any_number_and_date_is_printed_as_duckdb_prints_it(settings, whole, decimal, real, day):
    expressions = (
        f"'{whole}'::HUGEINT",
        f"'{decimal:f}'::DECIMAL(38, 18)",
        f"'{real!r}'::DOUBLE",
        f"DATE '{day}'",
    )
    sql = "SELECT " + ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(expressions))
    row = list(csv.reader(io.StringIO(csv_of(settings, sql))))[1]
    assert row == [printed_by_duckdb(expression) for expression in expressions]
    assert int(row[0]) == json_of(settings, sql)[0]["c0"] == whole


def test_rows_keep_their_order(settings):
    sql = "SELECT i, i * 7919 % 100003 AS r FROM range(100003) AS t(i) ORDER BY r DESC"
    result = query_texts(settings, sql, Form.TEXT)
    assert [int(text) for text in result.rows.column(1).to_pylist()] == list(range(100002, -1, -1))


def test_two_columns_of_one_name_keep_both_values(settings, tmp_path):
    sql = "SELECT 1 AS a, 2 AS a, 3 AS a_2"
    assert json_of(settings, sql) == [{"a": 1, "a_2": 2, "a_2_2": 3}]
    with streamed_for_parquet(settings, sql) as rows:
        assert write_parquet(rows, tmp_path / "out.parquet") == 1
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["a", "a_2", "a_2_2"]


def in_parquet(settings: Settings, path: Path, expression: str) -> object:
    with streamed_for_parquet(settings, f"SELECT {expression}") as rows:
        write_parquet(rows, path)
    return pq.read_table(path).column(0).to_pylist()[0]


def test_parquet_keeps_types_and_writes_the_others_as_text(settings, tmp_path):
    path = tmp_path / "out.parquet"
    assert in_parquet(settings, path, "sum(x) FROM range(4) AS t(x)") == 6
    assert in_parquet(settings, path, "INTERVAL '1 month 2 days'") == "1 month 2 days"
    assert in_parquet(settings, path, "'12:00:00+02'::TIMETZ") == "12:00:00+02"
    assert in_parquet(settings, path, "[1.5, NULL]::DOUBLE[]") == [1.5, None]
    with pytest.raises(InputError, match="DECIMAL"):
        in_parquet(settings, path, "340282366920938463463374607431768211455::UHUGEINT")


def test_nothing_is_taken_for_markup_and_white_space_is_one_line(settings, capsys):
    print_table(query_texts(settings, "SELECT 'a' || chr(10) || '[red]' AS x", Form.CUT), limit=10)
    assert capsys.readouterr().out.splitlines()[1:] == ["a [red]", "1 row"]


def test_a_long_text_is_cut(capsys):
    rows = QueryTexts(("x",), (False,), pa.table({"c0": ["y" * 500]}))
    print_table(rows, limit=1)
    assert capsys.readouterr().out.split()[1] == "y" * 59 + "…"


def test_a_long_value_is_cut_before_it_leaves_duckdb(settings):
    sql = "SELECT repeat('y', 10000000) AS x, encode(repeat('y', 10000000)) AS b"
    lengths = [len(text) for text in query_texts(settings, sql, Form.CUT).rows.to_pylist()[0].values()]
    assert lengths == [500, 500]


def text_result(*values: str) -> QueryTexts:
    """A text and a number per row."""
    rows = pa.table({"text": list(values), "number": ["-1"] * len(values)})
    return QueryTexts(("text", "number"), (False, True), rows)


FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_is_exact_for_programs_and_harmless_for_spreadsheets(text):
    plain, safe = io.StringIO(), io.StringIO()
    write_csv(text_result(text), plain)
    write_csv(text_result(text), safe, for_spreadsheet=True)
    cells = [list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1] for out in (plain, safe)]
    assert cells[0] == [text, "-1"]
    assert cells[1] == [f"'{text}", "-1"]  # a number stays a number


def test_ordinary_texts_are_the_same_for_spreadsheets():
    plain, safe = io.StringIO(), io.StringIO()
    result = text_result("a ship", "x=1", "1-2", "")
    write_csv(result, plain)
    write_csv(result, safe, for_spreadsheet=True)
    assert plain.getvalue() == safe.getvalue()


ACTING = "\x1b]0;owned\x07\x1b[2J\x9b1A\u202e"


def test_a_value_or_a_column_cannot_act_on_the_terminal(capsys):
    rows = pa.table([[ACTING]], names=[ACTING])
    print_table(QueryTexts((ACTING,), (False,), rows), 10)
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\x9b\u202e") and "\\x1b]0;owned\\x07" in shown


def test_json_has_acting_characters_as_escapes_and_the_same_value():
    out = io.StringIO()
    rows = pa.table({"a": [json.dumps(ACTING, ensure_ascii=False)]})
    write_json(QueryTexts(("a",), (False,), rows), out)
    assert not set(out.getvalue()) & set("\x1b\x07\x9b\u202e")
    assert json.loads(out.getvalue()) == [{"a": ACTING}]
