"""Partitions of several tables change as one, though the writer is killed between any two of its steps."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from t2s_pipeline.core.errors import DamagedFileError, InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.schema import REJECTS, SELECTIONS
from t2s_pipeline.lake.store import fingerprint_of, read_partition, replacing_partitions
from tests.lake.places import contents

VAL = {"dataset": "x", "split": "val"}
TABLES = (REJECTS, SELECTIONS)


def write(lake: LakePlace, mark: str) -> None:
    with replacing_partitions(lake, TABLES, VAL, mark) as (rejects, selections):
        row = {"source": mark, "reason": "r", "detail": "d"}
        rejects.add(pa.RecordBatch.from_pylist([row], schema=REJECTS.schema))
        row = {"rule": "by_hash", "sample_id": mark, "question_index": 0, "seed": "", "published": True}
        selections.add(pa.RecordBatch.from_pylist([row], schema=SELECTIONS.schema))


def marks(lake: LakePlace) -> list[str]:
    """What a reader finds in the two tables."""
    rows = [read_partition(lake, table, VAL).to_pylist() for table in TABLES]
    return [rows[0][0]["source"], rows[1][0]["sample_id"]]


def test_both_appear_with_their_fingerprint(lake):
    write(lake, "one")
    assert marks(lake) == ["one", "one"]
    assert {fingerprint_of(lake, table, VAL) for table in TABLES} == {"one"}
    assert len(contents(lake)) == 2


def test_neither_appears_if_one_fails(lake):
    write(lake, "one")
    with (
        pytest.raises(InputError, match="missing columns"),
        replacing_partitions(lake, TABLES, VAL) as (rejects, selections),
    ):
        rejects.add(pa.RecordBatch.from_pylist([], schema=REJECTS.schema))
        selections.add(pa.record_batch({"rule": ["by_hash"]}))
    assert marks(lake) == ["one", "one"]
    assert len(contents(lake)) == 2


def test_a_folder_in_the_place_of_a_file_is_named_before_anything_is_written(tmp_path):
    write(tmp_path, "one")
    file = partition_file(tmp_path, SELECTIONS, VAL)
    file.unlink()
    file.mkdir()
    with pytest.raises(DamagedFileError, match="it is a folder"):
        write(tmp_path, "two")
    assert read_partition(tmp_path, REJECTS, VAL)["source"].to_pylist() == ["one"]


KILLED_AT_EACH_STEP = """
import os, signal, sys
from pathlib import Path
from tests.lake.test_together import write

def counted(lake, wanted):
    calls = 0
    def counting(done):
        def call(*arguments):
            nonlocal calls
            calls += 1
            if calls == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            return done(*arguments)
        return call
    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, counting(getattr(os, name)))
    write(lake, "two")

home = Path(sys.argv[1])
for step, lake in enumerate(sorted(home.iterdir()), start=1):
    # A process of its own for each: what is killed is real.
    child = os.fork()
    if child == 0:
        counted(lake, step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(int(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL))
"""
"""Write anew into each lake of a folder, killed before the first, second, third … call that orders things on disk."""

STEPS = 20


def test_a_writer_killed_before_any_of_its_steps_leaves_all_old_or_all_new(tmp_path):
    lakes = [tmp_path / f"{step:02}" for step in range(1, STEPS + 1)]
    for lake in lakes:
        write(lake, "one")
    command = [sys.executable, "-c", KILLED_AT_EACH_STEP, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    killed = [line == "1" for line in done.stdout.splitlines()]
    # It takes fewer steps than we tried, and at least a flush and a rename for each file and for the journal.
    assert killed == sorted(killed, reverse=True)
    assert 6 <= sum(killed) < STEPS
    seen = []
    for lake in lakes:
        first, second = marks(lake)
        assert first == second, f"killed before step {lake.name}"
        seen.append(first)
        write(lake, "three")
        assert marks(lake) == ["three", "three"]
        assert not [path for path in lake.rglob("*") if path.suffix in (".tmp", ".json")]
    assert set(seen) == {"one", "two"}  # the old ones up to some step, the new ones from there on
    assert seen == sorted(seen)


def test_who_may_only_read_is_not_disturbed_by_a_journal(tmp_path, monkeypatch):
    write(tmp_path, "one")
    (tmp_path / STAGING / "renames-0.json").write_text('[["a", "b"]]')

    def refuses(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuses)
    assert marks(tmp_path) == ["one", "one"]
