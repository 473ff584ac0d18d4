"""SIGKILL before every call that orders things on disk: old or new, never between, and a rerun does the rest."""

import subprocess
import sys

import pytest

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.lake.verification import verify
from tests.faults.kills import SPLIT, TABLES, WRITERS, together
from tests.faults.lakes import rows_of


@pytest.mark.parametrize(("name", "steps"), [("alone", 14), ("together", 26), ("staged", 64)])
def test_a_writer_that_is_killed_anywhere_loses_nothing(tmp_path, name, steps):
    lakes = [tmp_path / f"{step:02}" for step in range(1, steps + 1)]
    for lake in lakes:
        together(lake, 1)
    command = [sys.executable, "-m", "tests.faults.kills", name, *map(str, lakes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPO)
    killed = done.stdout.split()
    assert killed == sorted(killed, reverse=True) and killed[0] == "1" and killed[-1] == "0", killed
    for lake in lakes:
        marks = []
        for table in TABLES:
            rows = read_partition(lake, table, SPLIT)
            mark = next(mark for mark in (1, 2) if rows.equals(rows_of(table, mark)))
            assert fingerprint_of(lake, table, SPLIT) == str(mark)
            marks.append(mark)
        assert name != "together" or marks[0] == marks[1], lake
        assert verify(lake).damaged == ()
        WRITERS[name](lake, 2)
        assert all(read_partition(lake, table, SPLIT).equals(rows_of(table, 2)) for table in TABLES)
        assert not list(lake.rglob("*.tmp")) and not list((lake / STAGING).rglob("*.json"))
        assert not list((lake / STAGING).rglob("*.parquet"))
