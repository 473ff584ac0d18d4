"""Snapshots of the lake beside two processes that rewrite tables that belong together."""

import multiprocessing
import sys
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.schema import NOTES, REJECTS, SAMPLES, SELECTIONS, TABLES
from t2s_pipeline.lake.snapshot import take_snapshot
from t2s_pipeline.lake.store import FINGERPRINT_KEY, replacing_partitions
from tests.faults.lakes import rows_of

TOGETHER = (SAMPLES, SELECTIONS, REJECTS, NOTES)


def mixtures(home: Path, count: int) -> Counter[str]:
    """Take ``count`` snapshots while two processes write, each its own split.

    Returns:
        ``snapshots``, ``mixtures`` (the tables of a split have different fingerprints), and ``versions`` (how many
        different pairs of versions were seen).
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
    outcomes: Counter[str] = Counter(snapshots=0, mixtures=0)
    versions = set()
    try:
        while outcomes["snapshots"] < count or (len(versions) < 10 and all(writer.is_alive() for writer in writers)):
            marks = _marks(home)
            outcomes["snapshots"] += 1
            outcomes["mixtures"] += any(len(of_split) != 1 for of_split in marks.values())
            versions.add(tuple(sorted(mark for of_split in marks.values() for mark in of_split)))
    finally:
        enough.set()
        for writer in writers:
            writer.join()
    outcomes["versions"] = len(versions)
    return outcomes


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
    print(mixtures(Path(sys.argv[1]), int(sys.argv[2])))
