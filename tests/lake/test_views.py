"""SQL sees every table and question, sees them whole while they are replaced, and can change or read nothing else."""

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake.database import build_database  # noqa: E402
from t2s_pipeline.lake.folders import partition_file  # noqa: E402
from t2s_pipeline.lake.questions import questions  # noqa: E402
from t2s_pipeline.lake.schema import COMPLETIONS, PUBLISHED_METRICS, REJECTS, TABLES  # noqa: E402
from t2s_pipeline.lake.store import list_partitions, write_partition  # noqa: E402
from t2s_pipeline.lake.table_views import text_literal  # noqa: E402
from t2s_pipeline.lake.views import Limits, connect, query  # noqa: E402


@pytest.fixture
def settings(tmp_path) -> Settings:
    # A home that a careless glob or string literal would stumble over.
    (tmp_path / "sql").mkdir()
    return Settings(tmp_path / "it's [1] home", tmp_path / "python", tmp_path / "sql")


def ask(settings: Settings, name: str, sql: str) -> None:
    (settings.sql_dir / f"{name}.sql").write_text(sql)


def put(settings: Settings, split: str, *sources: str, dataset: str = "synthetic") -> Path:
    rows = [{"source": source, "reason": "corrupt_image", "detail": None} for source in sources]
    partition = {"dataset": dataset, "split": split}
    write_partition(settings.lake, REJECTS, partition, pa.Table.from_pylist(rows, schema=REJECTS.schema))
    return partition_file(settings.lake, REJECTS, partition)


def test_every_table_is_there_and_typed_before_anything_is_written(settings):
    assert query(settings, "SHOW TABLES")["name"].to_pylist() == sorted(TABLES)
    connection = connect(settings)
    for table in TABLES.values():
        rows = connection.sql(f"SELECT * FROM {table.name}").to_arrow_table()
        assert rows.column_names == [*table.partition_by, *table.schema.names]
        # The paper's numbers come with the package.
        assert rows.num_rows == (171 if table is PUBLISHED_METRICS else 0)
    assert query(settings, "SELECT sum(tokens) / 2 AS half FROM completions").to_pylist() == [{"half": None}]


def test_types_are_the_same_before_and_after_rows_arrive(settings):
    empty = query(settings, "DESCRIBE rejects").to_pylist()
    put(settings, "val", "a")
    assert query(settings, "DESCRIBE rejects").to_pylist() == empty


def test_partition_columns_are_text_even_where_they_look_like_numbers(settings):
    put(settings, "val", "a", dataset="007")
    put(settings, "test", "b", "c", dataset="2024-01-01")
    put(settings, "test", "d", dataset="50% off/[x]")
    counted = query(settings, "SELECT dataset, count(*) AS n FROM rejects WHERE dataset > '0' GROUP BY 1 ORDER BY 1")
    assert counted.to_pylist() == [
        {"dataset": "007", "n": 1},
        {"dataset": "2024-01-01", "n": 2},
        {"dataset": "50% off/[x]", "n": 1},
    ]


PARTITION_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15)


@hypothesis.settings(max_examples=25)
@given(st.lists(st.tuples(PARTITION_VALUES, PARTITION_VALUES), min_size=1, max_size=4, unique=True))
def test_any_partition_value_comes_back_as_it_was_written(tmp_path_factory, partitions):
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home, home / "python", home / "sql")
    for dataset, split in partitions:
        put(settings, split, "a", dataset=dataset)
    rows = query(settings, "SELECT dataset, split FROM rejects").to_pylist()
    assert sorted((row["dataset"], row["split"]) for row in rows) == sorted(partitions)
    dataset, split = partitions[0]
    where = f"dataset = {text_literal(dataset)} AND split = {text_literal(split)}"
    assert query(settings, f"SELECT count(*) AS n FROM rejects WHERE {where}").to_pylist() == [{"n": 1}]


@pytest.mark.parametrize(
    "folder",
    [
        "split=v2",
        "dataset=other/split=v2",
        "source=x",
        "filename=y",
        "a?b",
        "a*b",
        "a\\b",
        "[0-9]",
        "it's",
        "50%20",
        "ü",
    ],
)
def test_the_path_of_the_lake_changes_nothing(tmp_path, folder):
    """Siblings that a pattern would find as well hold other rows."""
    homes = [tmp_path / folder / "home", *(tmp_path / sibling / "home" for sibling in ("axb", "a/b", "1"))]
    for home in homes:
        put(Settings(home, tmp_path / "python", tmp_path / "sql"), "val", str(home))
    settings = Settings(homes[0], tmp_path / "python", tmp_path / "sql")
    expected = [{"dataset": "synthetic", "split": "val", "source": str(homes[0])}]
    assert query(settings, "SELECT dataset, split, source FROM rejects").to_pylist() == expected
    database = build_database(settings)
    copy = shutil.copy(database, tmp_path / "copy.duckdb")  # DuckDB itself cannot open every one of these paths
    with duckdb.connect(copy, read_only=True) as results:
        assert results.sql("SELECT source FROM rejects").fetchall() == [(str(homes[0]),)]


def test_a_filter_on_a_partition_reads_no_other_file(settings):
    for number in range(20):
        put(settings, "val", "a", dataset=f"d{number}")
    plan = connect(settings).sql("EXPLAIN ANALYZE SELECT source FROM rejects WHERE dataset = 'd7'").fetchall()[0][1]
    assert "7.parquet" not in plan or plan.count(".parquet") == 1
    assert "Total Files Read: 1" in " ".join(plan.split()) or plan.count(".parquet") == 1


def test_a_table_on_another_file_system_is_read_through_its_link(settings, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    put(settings, "val", "a")
    elsewhere = tmp_path / "elsewhere" / "rejects"
    elsewhere.parent.mkdir()
    (settings.lake / "rejects").rename(elsewhere)
    (settings.lake / "rejects").symlink_to(elsewhere)
    secret = tmp_path / "elsewhere" / "secret.csv"
    secret.write_text("secret\n1\n")
    monkeypatch.setattr(os, "link", refuse)
    assert list_partitions(settings.lake, REJECTS) == [{"dataset": "synthetic", "split": "val"}]
    assert query(settings, "SELECT split, source FROM rejects").to_pylist() == [{"split": "val", "source": "a"}]
    with pytest.raises(InputError):
        query(settings, f"FROM read_text('{secret}')")


def test_a_home_that_cannot_be_written_can_be_queried(settings, monkeypatch):
    def refuse(folder: Path, *arguments, **options) -> None:
        if folder.is_relative_to(settings.home):
            raise OSError(errno.EROFS, "read-only")
        make(folder, *arguments, **options)

    put(settings, "val", "a")
    make = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert query(settings, "SELECT source FROM rejects").to_pylist() == [{"source": "a"}]


@pytest.mark.parametrize(
    "sql", ["PIVOT rejects ON split USING count(*)", "FROM (PIVOT rejects ON split USING count(*)) ORDER BY ALL"]
)
def test_a_pivot_without_its_values_says_what_to_do(settings, sql):
    put(settings, "val", "a")
    with pytest.raises(InputError, match=r"list them with IN \(…\)"):
        query(settings, sql)
    listed = sql.replace("ON split", "ON split IN ('val', 'test')")
    assert query(settings, f"SELECT val FROM ({listed})")["val"].to_pylist() == [1]


def test_a_question_in_another_encoding_is_named(settings):
    (settings.sql_dir / "latin.sql").write_bytes("-- Größe?\nSELECT 1".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.sql is not UTF-8 text \(byte 6\)"):
        connect(settings)


def test_a_column_that_older_files_lack_is_null_in_their_rows(settings):
    path = put(settings, "val", "a")
    old = pa.table({"source": ["old"], "reason": ["corrupt_image"]})
    pa.parquet.write_table(old, path)
    assert query(settings, "SELECT source, detail FROM rejects").to_pylist() == [{"source": "old", "detail": None}]
    (kind,) = query(settings, "SELECT DISTINCT typeof(detail) AS kind FROM rejects")["kind"].to_pylist()
    assert kind == "VARCHAR"
    put(settings, "test", "b")
    assert query(settings, "SELECT count(*) AS n FROM rejects WHERE detail IS NULL").to_pylist() == [{"n": 2}]


def test_questions_are_views_whatever_order_they_need(settings):
    put(settings, "val", "a", "b")
    ask(settings, "a_last", "-- Third?\nSELECT n + 1 AS n FROM b_middle;\n")
    ask(settings, "b_middle", "SELECT n + 1 AS n FROM c_first")
    ask(settings, "c_first", "-- First\n-- of all?\n\n-- not this\nSELECT count(*) AS n FROM rejects -- no newline")
    assert query(settings, "FROM a_last").to_pylist() == [{"n": 4}]
    assert [(q.name, q.comment) for q in questions(settings)] == [
        ("a_last", "Third?"),
        ("b_middle", ""),
        ("c_first", "First of all?"),
    ]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM nowhere", "nowhere does not exist"),
        ("SELECT nothing FROM rejects", "nothing"),
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "exactly one SELECT"),
        ("DROP VIEW rejects", "exactly one SELECT"),
        ("-- only a comment", "exactly one SELECT"),
        ("SELECT * FROM broken", "broken"),
    ],
)
def test_a_question_that_cannot_be_a_view_is_named(settings, sql, words):
    ask(settings, "fine", "SELECT 1 AS one")
    ask(settings, "broken", sql)
    with pytest.raises(InputError, match=rf"broken\.sql: .*{words}"):
        connect(settings)


def test_a_question_with_a_mistake_disturbs_only_the_queries_that_name_it(settings):
    put(settings, "val", "a")
    ask(settings, "fine", "SELECT count(*) AS n FROM rejects")
    ask(settings, "broken", "SELEC 1")
    ask(settings, "needs_it", "FROM broken")
    assert query(settings, "FROM fine").to_pylist() == [{"n": 1}]
    for sql in ("FROM broken", "FROM needs_it", "SHOW TABLES", "FROM nowhere"):
        with pytest.raises(InputError, match=r"broken\.sql"):
            query(settings, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM Rejects",
        'SELECT * FROM "REJECTS"',
        "FROM main.rejects",
        "FROM memory.main.rejects",
        "FROM query('FROM rej' || 'ects')",
        "FROM query_table('rej' || 'ects')",
        "FROM chain_2",
        "FROM Chain_2",
        "FROM query_table('ch' || 'ain_2')",
        "WITH x AS (FROM chain_1) FROM x",
        "SELECT * FROM (FROM (FROM chain_2))",
        "SELECT * FROM chain_1 WHERE source IN (SELECT source FROM rejects)",
    ],
)
def test_a_table_is_read_however_it_is_named(settings, sql):
    put(settings, "val", "a", "b")
    ask(settings, "chain_1", "FROM rejects")
    ask(settings, "chain_2", "FROM chain_1")
    assert query(settings, sql).num_rows == 2


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES",
        "DESCRIBE",
        "FROM (DESC)",
        "SELECT table_name AS name FROM information_schema.tables",
        "SELECT view_name AS name FROM duckdb_views() UNION ALL SELECT table_name FROM duckdb_tables()",
        "FROM query('SH' || 'OW TABLES')",
        "SELECT name FROM sqlite_master",
    ],
)
def test_every_table_and_question_is_listed(settings, sql):
    ask(settings, "mine", "SELECT 1 AS one")
    names = set(query(settings, sql).column(1 if sql in ("DESCRIBE", "FROM (DESC)") else 0).to_pylist())
    names |= set(query(settings, sql)["name"].to_pylist())
    assert names >= {*TABLES, "mine"}


def test_a_question_may_not_take_the_name_of_a_table(settings):
    ask(settings, "rejects", "SELECT 1 AS one")
    with pytest.raises(InputError, match=r"rejects\.sql has the name of a table"):
        connect(settings)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1;",
        "-- why\nSELECT 1 -- because",
        "FROM rejects",
        "TABLE rejects",
        "VALUES (1)",
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
        "DESCRIBE rejects",
        "SUMMARIZE rejects",
        "SELECT 'it''s; fine'",
        "SELECT 1 AS a, 2 AS a",
    ],
)
def test_every_kind_of_select_is_answered(settings, sql):
    assert query(settings, sql).num_columns >= 1


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW rejects",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW rejects",
        "INSERT INTO rejects VALUES (1)",
        "COPY (SELECT 1) TO '{lake}/evil.parquet'",
        "WITH x AS (COPY (SELECT 1 AS a) TO '{lake}/evil.parquet') SELECT 1",
        "WITH y AS (WITH x AS (COPY (SELECT 1 AS a) TO '{lake}/evil.parquet') SELECT 1) SELECT * FROM y",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{lake}/evil.parquet''')",
        "WITH x AS (DELETE FROM rejects RETURNING *) SELECT * FROM x",
        "ATTACH '{lake}/evil.duckdb'",
        "EXPORT DATABASE '{lake}/evil'",
        "SET threads = 1",
        "PRAGMA enable_profiling",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CALL enable_logging()",
    ],
)
def test_nothing_but_a_select_runs_and_nothing_is_written(settings, sql):
    put(settings, "val", "a")
    before = sorted(settings.lake.rglob("*"))
    with pytest.raises(InputError):
        query(settings, sql.format(lake=str(settings.lake).replace("'", "''")))
    assert sorted(settings.lake.rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('{file}')",
        "FROM read_text('{file}')",
        "FROM '{file}'",
        "FROM glob('{folder}/*')",
        "FROM read_text('{lake}/../secret.csv')",
        "FROM sqlite_scan('{file}', 't')",
        "FROM read_csv('https://example.org/x.csv')",
        "SELECT * FROM duckdb_secrets()",
        "FROM statement",
        "FROM settings",
    ],
)
def test_nothing_outside_the_lake_is_readable(settings, sql):
    secret = settings.home / "secret.csv"
    put(settings, "val", "a")
    secret.write_text("secret\n1\n")
    place = {"file": secret, "folder": settings.home, "lake": settings.lake}
    with pytest.raises(InputError):
        query(settings, sql.format(**{key: str(path).replace("'", "''") for key, path in place.items()}))


def test_a_mistake_is_told_in_one_line(settings):
    with pytest.raises(InputError) as told:
        query(settings, "SELECT wrong\nFROM rejects")
    assert "wrong" in str(told.value)
    assert "\n" not in str(told.value)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"not parquet at all"), "is damaged"),
        (truncate, "is damaged .*cut off"),
        (make_pipe, "is damaged .it is a pipe"),
        (make_folder, "is damaged .it is a folder"),
    ],
)
@pytest.mark.parametrize(
    "sql",
    [
        "FROM rejects",
        "SELECT 1 FROM rejects LIMIT 0",
        "FROM query('FROM rejects')",
        "FROM query_table('rejects')",
        "FROM on_rejects",
    ],
)
def test_a_damaged_partition_is_named_and_other_queries_go_on(settings, spoil, words, sql):
    path = put(settings, "val", "a")
    put(settings, "test", "b")
    ask(settings, "on_rejects", "SELECT count(*) AS n FROM rejects WHERE split = 'test'")
    spoil(path)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))} {words}"):
        query(settings, sql)
    assert query(settings, "SELECT count(*) AS n FROM completions").to_pylist() == [{"n": 0}]


def test_a_reader_sees_each_partition_whole_while_it_is_replaced(settings):
    """Two versions that differ in every row and in size, 200 times; no query may err or see a mixture.

    DuckDB on the files themselves failed this within seconds (see ``lake/snapshot.py``).
    """
    versions = [("a",) * 2_000, ("b",) * 20_000]
    splits = ("train", "val")
    for split in splits:
        put(settings, split, *versions[0])
    done = threading.Event()

    def replace() -> None:
        try:
            for turn in range(200):
                put(settings, splits[turn % 2], *versions[(turn // 2 + 1) % 2])
        finally:
            done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = 0
    while not done.is_set() or seen == 0:
        counted = query(settings, "SELECT split, count(*) n, min(source) low, max(source) high FROM rejects GROUP BY 1")
        for row in counted.to_pylist():
            assert (row["n"], row["low"], row["high"]) in {(2_000, "a", "a"), (20_000, "b", "b")}
        seen += 1
    writer.join()


def test_a_connection_keeps_seeing_the_lake_of_its_moment(settings):
    put(settings, "val", "a")
    connection = connect(settings)
    put(settings, "val", "b", "c")
    partition_file(settings.lake, REJECTS, {"dataset": "synthetic", "split": "val"}).unlink()
    put(settings, "test", "d")
    assert connection.sql("SELECT source FROM rejects").fetchall() == [("a",)]
    assert query(settings, "SELECT source FROM rejects").to_pylist() == [{"source": "d"}]


def test_a_connection_leaves_nothing_behind(settings):
    put(settings, "val", "a")
    connection = connect(settings)
    assert len(list((settings.home / "tmp").iterdir())) == 1
    del connection
    assert list((settings.home / "tmp").iterdir()) == []


def test_what_a_killed_reader_left_is_cleared(settings):
    put(settings, "val", "a")
    script = (
        "import os, sys; from pathlib import Path\n"
        "from t2s_pipeline.lake.snapshot import take_snapshot\n"
        "assert take_snapshot(Path(sys.argv[1]), Path(sys.argv[2]), []); os._exit(9)\n"
    )
    place = settings.home / "tmp"
    subprocess.run([sys.executable, "-c", script, settings.lake, place], check=False)
    assert len(list(place.iterdir())) == 1
    query(settings, "SELECT 1")
    assert list(place.iterdir()) == []


def test_without_hard_links_symbolic_ones_are_made(settings, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    put(settings, "val", "a")
    monkeypatch.setattr(os, "link", refuse)
    assert query(settings, "SELECT source FROM rejects").to_pylist() == [{"source": "a"}]


def test_maps_lists_and_structs_come_through(settings):
    row = {"sample_id": "s", "question_index": 0, "text": "<think>", "tokens": 3, "finish_reason": "stop"}
    rows = pa.Table.from_pylist([{**row, "seconds": 0.5, "settings": "{}"}], schema=COMPLETIONS.schema)
    partition = {"system": "think2seg-mini--50", "dataset": "synthetic", "split": "val"}
    write_partition(settings.lake, COMPLETIONS, partition, rows)
    assert query(settings, "SELECT system, tokens FROM completions").to_pylist() == [
        {"system": "think2seg-mini--50", "tokens": 3}
    ]


def test_the_shipped_questions_load_over_an_empty_lake(tmp_path):
    shipped = Settings(tmp_path, tmp_path / "python", REPO / "sql")
    connection = connect(shipped)
    for question in questions(shipped):
        assert "?" in question.comment, f"{question.name} does not say what it answers"
        assert connection.sql(f'SELECT * FROM "{question.name}"').columns


def test_a_query_ends_after_its_time_with_a_sentence(settings):
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 3"
    with pytest.raises(InputError, match=r"stopped after 0\.2 seconds"):
        query(settings, endless, Limits(seconds=0.2))


def test_a_query_keeps_to_its_memory(settings):
    with pytest.raises(InputError, match="more than 100 MB of memory"):
        query(settings, "SELECT list(range) AS x FROM range(100000000)", Limits(memory_mb=100, spill_mb=10))


@pytest.mark.parametrize("sql", ["SET memory_limit = '1TB'", "RESET memory_limit", "PRAGMA memory_limit = '1TB'"])
def test_a_query_cannot_lift_its_limits(settings, sql):
    with pytest.raises(InputError):
        query(settings, sql)
