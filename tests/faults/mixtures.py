"""Snapshots of the lake beside two processes that rewrite tables that belong together."""

import multiprocessing
import sys
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.children import process_pool
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.schema import NOTES, REJECTS, SAMPLES, SELECTIONS, TABLES
from t2s_pipeline.lake.snapshot import take_snapshot
from t2s_pipeline.lake.store import FINGERPRINT_KEY, replacing_partitions
from tests.faults.lakes import rows_of

TOGETHER = (SAMPLES, SELECTIONS, REJECTS, NOTES)


def mixtures(home: Path, count: int, readers: int = 1) -> Counter[str]:
    """Take ``count`` snapshots, shared by some processes, while two processes write, each its own split.

    Returns:
        ``snapshots``, ``mixtures`` (the tables of a split have different fingerprints), and ``versions`` (how many
        different pairs of versions the reader that saw the most of them has seen).
    """
    lake = home / "lake"
    batches = {table: rows_of(table, count=3).to_batches()[0] for table in TOGETHER}
    for split in ("train", "val"):
        write(lake, split, "0", batches)
    context = multiprocessing.get_context("spawn")
    enough = context.Event()
    writers = [context.Process(target=_rewrite, args=(lake, split, enough)) for split in ("train", "val")]
    for writer in writers:
        writer.start()
    outcomes: Counter[str] = Counter(snapshots=0, mixtures=0, versions=0)
    try:
        with process_pool(readers) as pool:
            each = -(-count // readers)
            for seen in pool.map(_read, [home] * readers, [each] * readers):
                outcomes.update(snapshots=seen["snapshots"], mixtures=seen["mixtures"])
                outcomes["versions"] = max(outcomes["versions"], seen["versions"])
    finally:
        alive = [writer.is_alive() for writer in writers]
        enough.set()
        for writer in writers:
            writer.join()
    if not all(alive):
        raise RuntimeError("a writer ended too early")
    return outcomes


def _read(home: Path, count: int) -> Counter[str]:
    """Take snapshots until there are enough, and until different versions were seen."""
    seen: Counter[str] = Counter(snapshots=0, mixtures=0)
    versions = set()
    while seen["snapshots"] < count or len(versions) < 10:
        marks = _marks(home)
        seen["snapshots"] += 1
        seen["mixtures"] += any(len(of_split) != 1 for of_split in marks.values())
        versions.add(tuple(sorted(mark for of_split in marks.values() for mark in of_split)))
    seen["versions"] = len(versions)
    return seen


def _marks(home: Path) -> dict[str, set[bytes]]:
    """Split → the fingerprints of its tables, in a new snapshot."""
    snapshot = take_snapshot(home / "lake", home / "tmp", TABLES.values())
    marks: dict[str, set[bytes]] = {}
    try:
        for table in TOGETHER:
            for file in snapshot.files[table.name]:
                with CheckedFile(file.path) as checked:
                    marks.setdefault(file.partition["split"], set()).add(checked.entries[FINGERPRINT_KEY])
    finally:
        snapshot.remove()
    return marks


def write(lake: Path, split: str, mark: str, batches: dict) -> None:
    """Replace the tables of a split together."""
    with replacing_partitions(lake, TOGETHER, {"dataset": "x", "split": split}, mark) as writers:
        for writer, batch in zip(writers, batches.values(), strict=True):
            writer.add(batch)


def _rewrite(lake: Path, split: str, enough: Event) -> None:
    batches: dict[object, pa.RecordBatch] = {table: rows_of(table, count=3).to_batches()[0] for table in TOGETHER}
    mark = 0
    while not enough.is_set():
        mark += 1
        write(lake, split, str(mark), batches)


if __name__ == "__main__":
    print(mixtures(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
