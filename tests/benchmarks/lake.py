"""What the digests of the lake cost: writing and reading with and without them.

Compared are the functions that the pipeline uses, with the digests as they are and with empty functions in their place.
Each figure is the best of several runs, because other work on the machine only adds time.

usage: python -m tests.benchmarks.lake [--images N] [--scores N]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa

from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.schema import IMAGES, SAMPLE_SCORES
from t2s_pipeline.lake.store import read_partition, scan, write_partition
from t2s_pipeline.lake.table import Table
from tests.faults.lakes import partition_of, rows_of

RUNS = 5


@contextmanager
def without_digests() -> Iterator[None]:
    """Digests are neither computed nor compared."""
    with (
        patch("t2s_pipeline.lake.table_writer.seal", lambda path: None),
        patch.object(CheckedFile, "_has_valid_seal", lambda file: True),
        patch.object(CheckedFile, "check", lambda file, columns=None, groups=None: None),
    ):
        yield


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def compare(name: str, work: Callable[[], object]) -> dict[str, str | float]:
    """The seconds of the work with and without digests."""
    with without_digests():
        plain = best(work)
    checked = best(work)
    return {
        "what": name,
        "without": round(plain, 4),
        "with": round(checked, 4),
        "percent": round(100 * checked / plain),
    }


def image_rows(count: int) -> pa.Table:
    """Images of 200 kB each."""
    row = {"file_name": "", "width": 512, "height": 512, "sha256": ""}
    rows = [{**row, "image_id": str(number), "bytes": os.urandom(200_000)} for number in range(count)]
    return pa.Table.from_pylist(rows, schema=IMAGES.schema)


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--scores", type=int, default=500_000)
    arguments = parser.parse_args()
    from t2s_pipeline.lake.views import query

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), Path(folder), REPO / "sql")
        tables: dict[Table, pa.Table] = {
            IMAGES: image_rows(arguments.images),
            SAMPLE_SCORES: pa.concat_tables([rows_of(SAMPLE_SCORES, count=1000)] * (arguments.scores // 1000)),
        }
        for table, rows in tables.items():
            place = partition_of(table)

            def write(table: Table = table, rows: pa.Table = rows) -> int:
                return write_partition(settings.lake, table, partition_of(table), rows)

            def read(table: Table = table) -> pa.Table:
                return read_partition(settings.lake, table, partition_of(table))

            def stream(table: Table = table) -> int:
                return sum(batch.num_rows for batch in scan(settings.lake, table, partition_of(table)))

            def one_column(table: Table = table) -> pa.Table:
                return read_partition(settings.lake, table, partition_of(table), [table.columns[0].name])

            for name, work in {"write": write, "read": read, "scan": stream, "read one column": one_column}.items():
                print(json.dumps(compare(f"{name}: {table.name}, {len(rows):,} rows", work)), flush=True)
            write()
            assert read_partition(settings.lake, table, place).num_rows == len(rows)
        for sql in ("SELECT avg(iou) FROM sample_scores", "SELECT sum(octet_length(bytes)) FROM images"):
            print(json.dumps(compare(f"t2s sql: {sql}", lambda sql=sql: query(settings, sql))), flush=True)


if __name__ == "__main__":
    main()
