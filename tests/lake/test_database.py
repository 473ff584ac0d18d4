"""``results.duckdb`` holds everything by itself, and is old or new for whoever opens it."""

import threading

import pyarrow as pa
import pytest

duckdb = pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake.database import build_database  # noqa: E402
from t2s_pipeline.lake.folders import partition_file  # noqa: E402
from t2s_pipeline.lake.questions import questions  # noqa: E402
from t2s_pipeline.lake.schema import IMAGES, REJECTS, TABLES  # noqa: E402
from t2s_pipeline.lake.store import write_partition  # noqa: E402

PLACE = {"dataset": "synthetic", "split": "val"}


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path / "it's home", tmp_path / "python", REPO / "sql")


def put(settings: Settings, *sources: str) -> None:
    rows = [{"source": source, "reason": "corrupt_image", "detail": None} for source in sources]
    write_partition(settings.lake, REJECTS, PLACE, pa.Table.from_pylist(rows, schema=REJECTS.schema))


def test_everything_is_in_the_file_and_needs_nothing_else(settings, tmp_path):
    put(settings, "a", "b")
    image = {"image_id": "a", "file_name": "a.png", "width": 2, "height": 2, "sha256": "", "bytes": b"xx"}
    write_partition(settings.lake, IMAGES, PLACE, pa.Table.from_pylist([image], schema=IMAGES.schema))
    moved = build_database(settings).rename(tmp_path / "elsewhere.duckdb")
    settings.lake.rename(tmp_path / "gone")
    with duckdb.connect(str(moved), read_only=True, config={"enable_external_access": "false"}) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM (SHOW TABLES)").fetchall()}
        assert names == {*TABLES, *(question.name for question in questions(settings))}
        assert connection.execute("SELECT source FROM rejects ORDER BY 1").fetchall() == [("a",), ("b",)]
        for name in names:
            connection.execute(f'SELECT * FROM "{name}"').fetchall()
        assert "bytes" not in [column for column, *_ in connection.execute("DESCRIBE images").fetchall()]
        bare = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal "
            "AND coalesce(comment, '') = ''"
        ).fetchall()
        assert bare == []


def test_a_damaged_partition_leaves_the_old_file(settings):
    put(settings, "a")
    path = build_database(settings)
    partition_file(settings.lake, REJECTS, PLACE).write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match=r"data\.parquet is damaged"):
        build_database(settings)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM rejects").fetchall() == [(1,)]
    assert [file.name for file in settings.home.glob("*duckdb*")] == ["results.duckdb"]


def test_readers_see_the_old_file_or_the_new_one(settings):
    versions = [("a",) * 100, ("b",) * 5_000]
    put(settings, *versions[0])
    path = build_database(settings)
    done = threading.Event()

    def rebuild() -> None:
        try:
            for turn in range(5):
                put(settings, *versions[(turn + 1) % 2])
                build_database(settings)
        finally:
            done.set()

    writer = threading.Thread(target=rebuild)
    writer.start()
    while not done.is_set():
        with duckdb.connect(str(path), read_only=True) as connection:
            found = connection.execute("SELECT count(*), min(source), max(source) FROM rejects").fetchone()
        assert found in {(100, "a", "a"), (5_000, "b", "b")}
    writer.join()
