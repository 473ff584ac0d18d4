"""What people do with a lake gives the same in a folder and on an object store: queries, care for its files, scores."""

import pytest

pytest.importorskip("duckdb")

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from t2s_pipeline.cli import main
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LAKE, LakePlace
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake.database import build_database
from t2s_pipeline.lake.object_client import ObjectClient, client_of
from t2s_pipeline.lake.places import storage_of
from t2s_pipeline.lake.schema import BENCHMARK_METRICS, COMPLETIONS, IMAGES, SAMPLE_SCORES, SAMPLES, SELECTIONS
from t2s_pipeline.lake.store import fingerprint_of, read_partition, write_partition
from t2s_pipeline.lake.upgrade import upgrade
from t2s_pipeline.lake.views import query
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Summarize, score_under_every_protocol
from tests.faults.lakes import partition_of, rows_of
from tests.object_server import DENIED
from tests.reporting import report_lake

VAL = {"dataset": "x", "split": "val"}


@pytest.fixture
def settings(lake: LakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a home whose lake is the one of the test."""
    address = "" if isinstance(lake, Path) else str(lake)
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    monkeypatch.setenv(LAKE, address)
    return Settings(tmp_path, tmp_path / "none", REPO / "sql", lake_address=address)


def test_sql_reads_tables_as_they_were_written(settings):
    tables = (IMAGES, SAMPLES, SELECTIONS, COMPLETIONS)
    for table in tables:
        write_partition(settings.lake, table, partition_of(table), rows_of(table))
    counts = ", ".join(f"(SELECT count(*) FROM {table.name}) AS {table.name}" for table in tables)
    assert query(settings, f"SELECT {counts}").to_pylist() == [{table.name: len(rows_of(table)) for table in tables}]
    rows = query(settings, "FROM images ORDER BY image_id")
    assert set(rows["dataset"].to_pylist()) == {partition_of(IMAGES)["dataset"]}
    assert rows.select(IMAGES.schema.names).to_pylist() == rows_of(IMAGES).sort_by("image_id").to_pylist()
    assert not list((settings.home / "tmp").glob("lake-*"))
    with duckdb.connect(str(build_database(settings)), read_only=True) as database:
        assert database.sql("SELECT count(*) FROM images").fetchall() == [(len(rows_of(IMAGES)),)]


def test_a_query_gets_the_columns_that_it_names_only(object_lake, tmp_path, monkeypatch):
    row = {"file_name": "", "width": 1, "height": 1, "sha256": ""}
    rows = [{**row, "image_id": f"{number}", "bytes": bytes([number]) * 200_000} for number in range(20)]
    write_partition(object_lake, IMAGES, VAL, pa.Table.from_pylist(rows, schema=IMAGES.schema))
    sizes = []
    real = ObjectClient.ranges

    def ranges(self, name, parts):
        sizes.append(sum(length for _, length in parts))
        return real(self, name, parts)

    monkeypatch.setattr(ObjectClient, "ranges", ranges)
    settings = Settings(tmp_path, tmp_path / "none", REPO / "sql", lake_address=str(object_lake))
    assert query(settings, "SELECT max(image_id) AS last FROM images WHERE split = 'val'")["last"].to_pylist() == ["9"]
    assert 0 < sum(sizes) < 100_000
    longest = query(settings, "SELECT octet_length(bytes) AS size FROM images WHERE image_id = '7'")
    assert longest["size"].to_pylist() == [200_000]
    assert sum(sizes) > 4_000_000


def test_an_earlier_version_is_rewritten_and_a_later_one_refused(settings):
    rows = rows_of(SELECTIONS)
    drawn = rows.set_column(rows.schema.get_field_index("rule"), "rule", pa.array(["draw"] * len(rows)))
    write_partition(settings.lake, replace(SELECTIONS, version=1), VAL, drawn, "f")
    with pytest.raises(InputError, match=r"was written by an earlier release .* run `t2s lake upgrade`"):
        read_partition(settings.lake, SELECTIONS, VAL)
    assert [(item.table, item.partition, item.rows) for item in upgrade(settings)] == [("selections", VAL, len(rows))]
    assert set(read_partition(settings.lake, SELECTIONS, VAL)["rule"].to_pylist()) == {"by_hash"}
    assert fingerprint_of(settings.lake, SELECTIONS, VAL) == "f"
    assert upgrade(settings) == []
    write_partition(settings.lake, replace(SELECTIONS, version=9), VAL, rows)
    with pytest.raises(InputError, match="was written by a later release"):
        upgrade(settings)


@pytest.fixture
def t2s(monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process; gives its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["t2s", *words])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().out

    return run


def test_the_commands_name_the_lake_and_what_is_wrong_with_it(settings, t2s):
    for table in (SAMPLES, IMAGES):
        write_partition(settings.lake, table, partition_of(table), rows_of(table), "f")
    code, out = t2s("lake", "verify")
    assert code == 0 and f"in {settings.lake}, 0 damaged" in out
    assert t2s("lake", "upgrade") == (0, f"{settings.lake} is up to date.\n")
    damage(settings.lake)
    code, out = t2s("lake", "verify")
    assert code == 1 and "samples" in out and "1 damaged" in out
    code, out = t2s("lake", "repair")
    assert code == 0 and "t2s ingest" in out
    assert t2s("lake", "repair") == (0, f"Nothing in {settings.lake} is damaged.\n")


def test_scores_and_the_leaderboard_are_the_same_wherever_the_lake_lies(object_lake, tmp_path):
    boards = []
    for address in ("", str(object_lake)):
        settings = Settings(tmp_path, tmp_path / "none", REPO / "sql", lake_address=address)
        report_lake.write(settings.lake)
        runner = Runner(settings, lambda arguments: pytest.fail("no worker is needed"), say=lambda words: None)
        for system in (report_lake.SYSTEM, report_lake.BASELINE):
            for step in score_under_every_protocol(system, "sam2-mini", "synthetic", "test"):
                runner.run(step)
        assert not runner.run(Summarize())[0].skipped
        assert runner.run(Summarize())[0].skipped
        boards.append(query(settings, "FROM leaderboard ORDER BY ALL"))
        assert query(settings, "SELECT sum(rows_written) AS n FROM step_times WHERE step_name = 'score'")["n"][
            0
        ].as_py()
    assert boards[0].num_rows >= 4
    assert boards[0].equals(boards[1])
    environment = {**os.environ, "T2S_HOME": str(tmp_path), LAKE: str(object_lake)}
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", "SELECT count(*) AS n FROM leaderboard", "--csv"]
    done = subprocess.run(command, env=environment, cwd=REPO, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["n", str(boards[0].num_rows)]), done.stderr
    environment["AWS_ACCESS_KEY_ID"] = DENIED
    done = subprocess.run(command, env=environment, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "denies access to s3://lakes/" in done.stderr and DENIED not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_summary_is_made_again_if_another_machine_has_added_scores(object_lake, tmp_path, monkeypatch):
    settings = Settings(tmp_path, tmp_path / "none", REPO / "sql", lake_address=str(object_lake))
    runner = Runner(settings, lambda arguments: pytest.fail("no worker is needed"), say=lambda words: None)
    partition = {**VAL, "protocol": "strict"}
    scores = rows_of(SAMPLE_SCORES)
    write_partition(settings.lake, SAMPLE_SCORES, {**partition, "system": "ours"}, scores, "1")
    real, calls = Summarize.work, []

    def work(step, context, fingerprint):
        real(step, context, fingerprint)
        calls.append(fingerprint)
        if len(calls) == 1:
            write_partition(settings.lake, SAMPLE_SCORES, {**partition, "system": "theirs"}, scores, "2")

    monkeypatch.setattr(Summarize, "work", work)
    runner.run(Summarize())
    assert len(calls) == 2
    assert set(read_partition(settings.lake, BENCHMARK_METRICS, {})["system"].to_pylist()) == {"ours", "theirs"}
    assert fingerprint_of(settings.lake, BENCHMARK_METRICS, {}) == calls[-1] != calls[0]


def damage(lake: LakePlace) -> None:
    """Change a byte of the samples."""
    (name,) = (file.name for file in storage_of(lake).files() if file.table is SAMPLES)
    data = bytearray(Path(name).read_bytes() if isinstance(lake, Path) else stored(lake, str(name))[1])
    data[len(data) // 2] ^= 1
    if isinstance(name, Path):
        name.write_bytes(data)
    else:
        client_of(lake).put(stored(lake, name)[0], bytes(data))


def stored(lake, address: str) -> tuple[str, bytes]:
    inside = address.removeprefix(client_of(lake).address(""))
    return inside, client_of(lake).get(inside)[0]
