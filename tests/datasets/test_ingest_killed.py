"""Reading a split again gives the same bytes; killed at any moment, it leaves the old tables whole, or the new ones."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from t2s_pipeline.datasets.ingest import TABLES, ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.store import read_partition
from tests.data import make_earthreason, make_phrases, make_rrsis_d
from tests.data.make_earthreason import Split, file_of

REPO = Path(__file__).parents[2]
TREES = {
    "earthreason": make_earthreason.HERE,
    "risbench": make_phrases.RISBENCH,
    "refsegrs": make_phrases.REFSEGRS,
    "rrsis-d": make_rrsis_d.HERE,
}


def content(lake: Path, dataset: str, split: str) -> dict[str, str]:
    """Table → sha256 of its file, after whoever opens the lake next has done so."""
    place = {"dataset": dataset, "split": split}
    for table in TABLES:
        read_partition(lake, table, place)  # whole: it can be read
    return {table.name: hashlib.sha256(partition_file(lake, table, place).read_bytes()).hexdigest() for table in TABLES}


@pytest.mark.parametrize("name", TREES)
def test_reading_again_gives_byte_identical_tables(name, tmp_path):
    for split in ("train", "val"):
        ingest_split(tmp_path / "one", dataset_at(name, TREES[name]), split, "mark")
        ingest_split(tmp_path / "two", dataset_at(name, TREES[name]), split, "mark")
        first = content(tmp_path / "one", name, split)
        assert content(tmp_path / "two", name, split) == first
        ingest_split(tmp_path / "one", dataset_at(name, TREES[name]), split, "mark")
        assert content(tmp_path / "one", name, split) == first


KILLED_AT_EACH_MOMENT = """
import os, signal, sys
from pathlib import Path
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.datasets.registry import dataset_at

def ingest(lake, root, wanted):
    calls = 0
    def counting(done):
        def call(*arguments):
            nonlocal calls
            calls += 1
            if calls == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            return done(*arguments)
        return call
    class Counting(NoProgress):
        advance = counting(NoProgress.advance)
    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, counting(getattr(os, name)))
    ingest_split(lake, dataset_at("mine", root), "val", "new", Counting())

home, root = Path(sys.argv[1]), Path(sys.argv[2])
for moment, lake in enumerate(sorted(home.iterdir()), start=1):
    child = os.fork()
    if child == 0:
        ingest(lake, root, moment)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(int(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL))
"""
"""Read into each lake of a folder, killed at the first, second, third … file read or step on the disk."""

MOMENTS = 45


def test_a_reading_killed_at_any_moment_leaves_all_tables_old_or_all_new(tmp_path):
    root = tmp_path / "data"
    shutil.copytree(make_earthreason.HERE, root)
    (tmp_path / "lakes").mkdir()
    ingest_split(tmp_path / "lakes" / "01", dataset_at("mine", root), "val", "old")
    lakes = [tmp_path / "lakes" / f"{moment:02}" for moment in range(1, MOMENTS + 1)]
    for lake in lakes[1:]:
        shutil.copytree(lakes[0], lake)
    old = content(lakes[0], "mine", "val")
    Split(tmp_path / "more", "val").sample("a_new_one", 99)
    shutil.copytree(tmp_path / "more", root, dirs_exist_ok=True)
    ingest_split(tmp_path / "expected", dataset_at("mine", root), "val", "new")
    new = content(tmp_path / "expected", "mine", "val")
    assert all(old[table] != new[table] for table in old)

    command = [sys.executable, "-c", KILLED_AT_EACH_MOMENT, tmp_path / "lakes", root]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=True)
    killed = [line == "1" for line in done.stdout.splitlines()]
    assert killed == sorted(killed, reverse=True)
    assert 25 < sum(killed) < MOMENTS  # every source, and every step on the disk after them
    seen = [content(lake, "mine", "val") for lake in lakes]
    assert all(one in (old, new) for one in seen)
    assert seen[0] == old and seen[sum(killed)] == new
    for lake in lakes[:: sum(killed) // 4]:
        ingest_split(lake, dataset_at("mine", root), "val", "new")
        assert content(lake, "mine", "val") == new
        assert not list(lake.rglob("*.tmp"))


def test_the_command_killed_from_outside_leaves_the_old_tables_and_the_next_one_finishes(tmp_path):
    root, home = tmp_path / "mine", tmp_path / "home"
    split = Split(root, "val")
    split.sample("0000", 0)
    command = [sys.executable, "-m", "t2s_pipeline.cli", "ingest", str(root)]
    environment = {**os.environ, "T2S_HOME": str(home)}
    subprocess.run(command, cwd=REPO, env=environment, check=True, capture_output=True)
    old = content(home / "lake", "mine", "val")
    # Slow to decode, small on disk: it takes seconds to read them all.
    large, label = (file_of(Image.new(mode, (2000, 2000)), "PNG") for mode in ("RGB", "L"))
    for n in range(1, 120):
        split.sample(f"{n:04}", n, image=large + n.to_bytes(2, "big"), label=label)
    process = subprocess.Popen(command, cwd=REPO, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("reading val 1/"):
            break
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert content(home / "lake", "mine", "val") == old
    subprocess.run(command, cwd=REPO, env=environment, check=True, capture_output=True)
    ingested = read_partition(home / "lake", TABLES[1], {"dataset": "mine", "split": "val"})
    assert ingested.num_rows == 120
