"""A query never sees new tables beside old ones. `make faults` takes 10,000 snapshots; these are fewer."""

import json
import os
from pathlib import Path

import pytest

from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.publishing import STAGING, publish, recover
from t2s_pipeline.lake.schema import REJECTS, TABLES
from t2s_pipeline.lake.snapshot import take_snapshot
from t2s_pipeline.lake.store import read_partition, write_partition
from tests.faults.lakes import rows_of
from tests.faults.mixtures import TOGETHER, mixtures, write

SPLIT = {"dataset": "x", "split": "val"}


def test_no_snapshot_beside_two_writers_is_a_mixture(tmp_path):
    outcomes = mixtures(tmp_path, 100, readers=2)
    assert outcomes["mixtures"] == 0 and outcomes["snapshots"] >= 100 and outcomes["versions"] > 5


def test_a_snapshot_follows_the_journal_of_a_writer_that_was_killed(tmp_path, monkeypatch):
    """The writer dies after the first of four renames. Nobody has done the others when the snapshot is taken."""
    batches = {table: rows_of(table, count=3).to_batches()[0] for table in TOGETHER}
    write(tmp_path / "lake", "val", "old", batches)
    renames = []

    def dies(old: Path, new: Path) -> None:
        renames.append(Path(new).name)
        if renames.count("data.parquet") == 2:
            raise SystemExit
        rename(old, new)

    rename, unlink = os.replace, Path.unlink
    newer = {table: rows_of(table, mark=7, count=3).to_batches()[0] for table in TOGETHER}
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(os, "replace", dies)
        patch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        write(tmp_path / "lake", "val", "new", newer)
    snapshot = take_snapshot(tmp_path / "lake", tmp_path / "tmp", TABLES.values())
    names = {name: [os.path.samefile(file.path, file.source) for file in snapshot.files[name]] for name in TABLES}
    assert [names[table.name] for table in TOGETHER] == [[True], [False], [False], [False]]
    recover(tmp_path / "lake")
    for table in TOGETHER:
        assert read_partition(tmp_path / "lake", table, SPLIT).equals(rows_of(table, mark=7, count=3))
        (file,) = snapshot.files[table.name]
        assert os.path.samefile(file.path, file.source)
    snapshot.remove()
    assert unlink is Path.unlink


BROKEN = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a number": "5",
    "no pairs": '[["a"]]',
    "another digest": json.dumps({"digest": "0" * 32, "renames": []}),
    "outside": '[["../.data.parquet.x.tmp", "../data.parquet"]]',
    "deep outside": '[["rejects/../../../.data.parquet.x.tmp", "rejects/../../../data.parquet"]]',
    "absolute": '[["/etc/.data.parquet.x.tmp", "/etc/data.parquet"]]',
    "another file": '[["rejects/a", "rejects/b"]]',
    "from elsewhere": '[["samples/.data.parquet.x.tmp", "rejects/data.parquet"]]',
    "not text": "[[1, 2]]",
    "a null byte": '[["rejects/\\u0000/.data.parquet.x.tmp", "rejects/\\u0000/data.parquet"]]',
    "half a character": '[["rejects/\\ud800/.data.parquet.x.tmp", "rejects/\\ud800/data.parquet"]]',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_journal_is_set_aside_with_a_warning_and_everything_goes_on(tmp_path, content, caplog):
    lake = tmp_path / "lake"
    write_partition(lake, REJECTS, SPLIT, rows_of(REJECTS))
    stray = tmp_path / ".data.parquet.x.tmp"
    stray.write_text("outside")
    journal = lake / STAGING / "renames-0.json"
    journal.write_text(content)
    take_snapshot(lake, tmp_path / "tmp", TABLES.values()).remove()
    assert read_partition(lake, REJECTS, SPLIT).equals(rows_of(REJECTS))
    assert stray.read_text() == "outside" and not (tmp_path / "data.parquet").exists()
    assert "cannot be followed" in caplog.text and not journal.exists()
    assert (lake / STAGING / "broken-renames-0.json").exists()
    write_partition(lake, REJECTS, SPLIT, rows_of(REJECTS, mark=3))
    assert read_partition(lake, REJECTS, SPLIT).equals(rows_of(REJECTS, mark=3))


def test_a_folder_or_a_pipe_as_a_journal_disturbs_nobody(tmp_path):
    write_partition(tmp_path, REJECTS, SPLIT, rows_of(REJECTS))
    (tmp_path / STAGING / "renames-1.json").mkdir()
    os.mkfifo(tmp_path / STAGING / "renames-2.json")
    assert read_partition(tmp_path, REJECTS, SPLIT).equals(rows_of(REJECTS))


def test_the_journal_of_an_earlier_release_is_followed(tmp_path):
    write_partition(tmp_path, REJECTS, SPLIT, rows_of(REJECTS))
    place = partition_file(tmp_path, REJECTS, SPLIT)
    temporary = place.with_name(".data.parquet.host-1-ab.tmp")
    write_partition(tmp_path / "other", REJECTS, SPLIT, rows_of(REJECTS, mark=5))
    publish(tmp_path, {partition_file(tmp_path / "other", REJECTS, SPLIT): temporary})
    pair = [path.relative_to(tmp_path).as_posix() for path in (temporary, place)]
    (tmp_path / STAGING / "renames-0.json").write_text(json.dumps([pair]))
    assert read_partition(tmp_path, REJECTS, SPLIT).equals(rows_of(REJECTS, mark=5))
