"""Writers that are killed before each call that orders things on disk, each in a process of its own."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.schema import NOTES, REJECTS
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import replacing_partitions, write_partition
from tests.faults.lakes import rows_of

SPLIT = {"dataset": "x", "split": "val"}
TABLES = (REJECTS, NOTES)


def alone(lake: LakePlace, mark: int) -> None:
    """One partition after the other."""
    for table in TABLES:
        write_partition(lake, table, SPLIT, rows_of(table, mark), str(mark))


def together(lake: LakePlace, mark: int) -> None:
    """Both partitions at once."""
    with replacing_partitions(lake, TABLES, SPLIT, str(mark)) as writers:
        for table, writer in zip(TABLES, writers, strict=True):
            for batch in rows_of(table, mark).to_batches():
                writer.add(batch)


def staged(lake: LakePlace, mark: int) -> None:
    """In pieces; a piece that is there is not made again."""
    for table in TABLES:
        pieces = StagedPartition(lake, table, SPLIT, str(mark))
        rows = rows_of(table, mark)
        numbers = pieces.numbers()
        for start in range(0, len(rows), 20):
            if start not in numbers:
                pieces.put(start, rows.slice(start, 20))
        pieces.commit()


WRITERS: dict[str, Callable[[LakePlace, int], None]] = {"alone": alone, "together": together, "staged": staged}


def counting(step: int, calls: list[int], call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, but this process is killed before the call of number ``step``; ``calls`` holds the count."""

    def counted(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    return counted


def main() -> None:
    """Usage: python -m tests.faults.kills WRITER LAKE…: kill the writer in the n-th lake before its n-th step."""
    write = WRITERS[sys.argv[1]]
    for step, lake in enumerate(map(Path, sys.argv[2:]), start=1):
        child = os.fork()
        if child == 0:
            calls = [0]
            for name in ("replace", "fsync", "unlink", "mkdir", "rmdir"):
                setattr(os, name, counting(step, calls, getattr(os, name)))
            write(lake, 2)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(int(os.WIFSIGNALED(status)))


if __name__ == "__main__":
    main()
