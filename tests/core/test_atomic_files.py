"""A file appears whole or not at all, and a killed writer leaves nothing that the next one does not clear."""

import errno
import os
import subprocess
import sys

import pytest

from t2s_pipeline.core.atomic_files import atomic_file, disk_room
from t2s_pipeline.core.errors import T2SError


def test_the_file_appears_only_at_the_end(tmp_path):
    path = tmp_path / "deep" / "page.html"
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert not list(path.parent.glob("*.html"))
    assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_fault_leaves_the_old_file_and_no_other(tmp_path, fault):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(fault), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise fault
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_cleared_and_a_living_one_is_left_alone(tmp_path):
    path = tmp_path / "page.html"
    script = (
        "import os, sys; from pathlib import Path; from t2s_pipeline.core.atomic_files import atomic_file\n"
        "with atomic_file(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    assert not path.exists()
    with atomic_file(path) as mine:
        mine.write_text("mine")
        assert [entry.name for entry in tmp_path.iterdir()] == [mine.name]
        with atomic_file(path) as other:
            other.write_text("other")
        assert mine.exists()
    assert path.read_text() == "mine"


def test_readers_patterns_do_not_match_the_temporary_name(tmp_path):
    with atomic_file(tmp_path / "data.parquet") as temporary:
        temporary.write_bytes(b"")
        assert list(tmp_path.glob("*.parquet")) == []
        assert temporary.name.startswith(".")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_that_names_the_place(tmp_path, number):
    with pytest.raises(T2SError, match=rf"disk is full .* free some space at {tmp_path}"), disk_room(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_other_faults_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), disk_room(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "denied")
