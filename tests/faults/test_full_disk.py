"""A disk that is full or read-only: one sentence, the tables stay, nothing is left behind. On a tmpfs of its own."""

import shutil
import subprocess
import sys

import pytest

from t2s_pipeline.core.settings import REPO

SCRIPT = """
import os, subprocess, sys
from pathlib import Path
import pyarrow as pa
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.lake.schema import IMAGES, NOTES, REJECTS, SAMPLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import read_partition, replacing_partitions, write_partition
from t2s_pipeline.lake.verification import verify
from tests.faults.lakes import rows_of
home = Path(sys.argv[1])
lake, place = home / "lake", {"dataset": "x", "split": "val"}
tables = (SAMPLES, REJECTS, NOTES)

def together(mark, rows):
    with replacing_partitions(lake, tables, place, mark) as writers:
        for table, writer in zip(tables, writers):
            for batch in rows_of(table, mark=len(mark), count=rows).to_batches():
                writer.add(batch)

def image(size):
    row = {"image_id": "", "file_name": "", "width": 1, "height": 1, "sha256": "", "bytes": os.urandom(size)}
    return pa.Table.from_pylist([row], schema=IMAGES.schema)

together("old", 20)
write_partition(lake, IMAGES, place, image(1000), "old")
before = [read_partition(lake, table, place) for table in (*tables, IMAGES)]
sentences = 0
for fill in range(0, 120_000, 8_000):
    ballast = home / "ballast"
    free = os.statvfs(home).f_bavail * os.statvfs(home).f_frsize
    ballast.write_bytes(bytes(max(0, free - fill)))
    for work in (
        lambda: together("new!", 4000),
        lambda: write_partition(lake, IMAGES, place, image(300_000), "new"),
        lambda: StagedPartition(lake, IMAGES, place, "new").put(0, image(300_000)),
    ):
        try:
            work()
        except T2SError as error:
            assert "The disk is full" in str(error), error
            sentences += 1
        else:
            raise SystemExit(f"it fits into {fill} bytes")
    ballast.unlink()
    assert [read_partition(lake, table, place) for table in (*tables, IMAGES)] == before
    assert not list(lake.rglob("*.tmp")), list(lake.rglob("*.tmp"))
subprocess.run(["mount", "-o", "remount,ro", home], check=True)
assert [read_partition(lake, table, place) for table in (*tables, IMAGES)] == before
assert verify(lake).damaged == ()
try:
    write_partition(lake, IMAGES, place, image(10), "new")
except OSError as error:
    assert error.errno == 30, error
subprocess.run(["mount", "-o", "remount,rw", home], check=True)
together("newer", 30)
assert verify(lake).damaged == ()
print("sentences", sentences)
"""

UNSHARE = ["unshare", "--mount", "--map-root-user"]


def can_mount(folder: str) -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    mount = [*UNSHARE, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def test_a_full_or_read_only_disk_changes_nothing_and_leaves_nothing(tmp_path):
    if not can_mount(str(tmp_path)):
        pytest.skip("this machine does not let a test mount a tmpfs")
    script = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && "{sys.executable}" -c "$SCRIPT" {tmp_path}'
    command = [*UNSHARE, "env", f"SCRIPT={SCRIPT}", "bash", "-c", script]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPO,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "sentences 45\n"
