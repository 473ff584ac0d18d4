"""`t2s sql` keeps its limits. `make faults` tries all 50; these are a few of each kind."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.faults.bombs import LARGE, SLOW, explode

pytestmark = [
    pytest.mark.orchestrator,
    pytest.mark.skipif(importlib.util.find_spec("duckdb") is None, reason="needs DuckDB"),
]
MEMORY_MB = 256


@pytest.mark.parametrize("sql", [LARGE[1], LARGE[2], LARGE[9], LARGE[12]])
def test_a_result_that_does_not_fit_is_one_sentence(sql, tmp_path):
    end = explode(sql, tmp_path, seconds=100, memory_mb=MEMORY_MB)
    assert end.returncode == 1
    assert end.sentence.splitlines()[-1] == (
        "t2s: The query needs more than 256 MB of memory: ask for fewer rows, or raise the limit."
    )
    assert "Traceback" not in end.sentence
    if sys.platform == "linux":
        assert end.peak_mb <= 1.2 * MEMORY_MB
    assert list((tmp_path / "tmp").glob("lake-*")) == []


@pytest.mark.parametrize("sql", [SLOW[5], SLOW[9]])
def test_a_query_without_an_end_is_ended(sql, tmp_path):
    end = explode(sql, tmp_path, seconds=1, memory_mb=MEMORY_MB)
    assert end.returncode == 1
    assert end.sentence == "t2s: The query was stopped after 1 seconds: ask for fewer rows, or raise the limit."
    assert list((tmp_path / "tmp").glob("lake-*")) == []


def test_rows_come_while_they_are_computed(tmp_path):
    """The first of a million million rows is there, and the process ends with its reader."""
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", "SELECT range AS a FROM range(100000000000)", "--csv"]
    environment = {**os.environ, "T2S_HOME": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["a\n", "0\n", "1\n"]
        process.stdout.close()
        assert process.wait() == 1


def test_queries_at_the_same_time_do_not_disturb_each_other(tmp_path):
    """Each sorts more than its memory holds, so each writes to the disk."""
    sql = "SELECT sum(n) AS s FROM (SELECT row_number() OVER (ORDER BY md5(range::VARCHAR)) AS n FROM range(2000000))"
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", sql, "--csv", "--memory", "512"]
    environment = {**os.environ, "T2S_HOME": str(tmp_path)}
    queries = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    assert [query.communicate()[0] for query in queries] == ["s\n2000001000000\n"] * 3
    assert list((tmp_path / "tmp").glob("lake-*")) == []
