"""`t2s lake verify` finds all damage, and `t2s lake repair` moves it away and says how to make it again."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.schema import IMAGES, REJECTS, TABLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.lake.verification import verify
from tests.faults.lakes import partition_of, rows_of, write_every_table

pytestmark = pytest.mark.orchestrator


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


@pytest.fixture
def home(tmp_path) -> Path:
    write_every_table(tmp_path / "lake")
    return tmp_path


def path_of(home: Path, name: str) -> Path:
    return partition_file(home / "lake", TABLES[name], partition_of(TABLES[name]))


def t2s(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "t2s_pipeline.cli", "lake", *arguments]
    return subprocess.run(
        command, env={**os.environ, "T2S_HOME": str(home)}, capture_output=True, text=True, check=False, cwd=REPO
    )


def test_a_good_lake_has_nothing_to_name(home):
    state = verify(home / "lake")
    assert (state.files, state.without_digests, state.damaged) == (len(TABLES), 0, ())


def test_every_kind_of_damage_is_found_once(home):
    lake = home / "lake"
    flip(path_of(home, "samples"))
    path_of(home, "rejects").write_bytes(b"")
    path_of(home, "notes").unlink()
    os.mkfifo(path_of(home, "notes"))
    path_of(home, "completions").unlink()
    path_of(home, "completions").mkdir()
    staged = StagedPartition(lake, REJECTS, partition_of(REJECTS), "f")
    staged.put(0, rows_of(REJECTS))
    flip(next((lake / STAGING).rglob("*.parquet")))
    (lake / STAGING / "renames-0.json").write_text("{")
    damaged = verify(lake).damaged
    assert {part.table.name for part in damaged if part.table} == {"samples", "rejects", "notes", "completions"}
    assert len(damaged) == 6


def test_an_image_that_was_stored_with_other_bytes_is_found(home):
    """Its digests fit: the bytes changed in memory, before they were written."""
    rows = rows_of(IMAGES)
    others = pa.array([hashlib.sha256(b"others").hexdigest()] * len(rows))
    rows = rows.set_column(rows.schema.get_field_index("sha256"), "sha256", others)
    write_partition(home / "lake", IMAGES, partition_of(IMAGES), rows)
    (part,) = verify(home / "lake").damaged
    assert part.reason == "the bytes of image text 0 differ from their hash"


def test_the_commands_name_the_damage_move_it_and_say_what_makes_it_again(home):
    assert "0 damaged" in t2s(home, "verify").stdout
    flip(path_of(home, "sample_scores"))
    flip(path_of(home, "pseudo_labels"))
    found = t2s(home, "verify")
    assert found.returncode == 1 and found.stderr.startswith("t2s: The lake is damaged")
    assert f"{path_of(home, 'sample_scores')}: " in found.stdout and "2 damaged" in found.stdout
    repaired = t2s(home, "repair")
    assert repaired.returncode == 0
    assert "  t2s evaluate a system --dataset a dataset --split a split\n" in repaired.stdout
    assert "  t2s label a method --dataset a dataset --split a split\n" in repaired.stdout
    assert len(list((home / "damaged").rglob("data.parquet"))) == 2
    assert t2s(home, "verify").returncode == 0
    assert "Nothing in" in t2s(home, "repair").stdout
