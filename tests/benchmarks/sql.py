"""How fast SQL answers over millions of scores: the leaderboard and the heavier views, from a new process's connection.

    python -m tests.benchmarks.sql [--rows 4000000] [--samples 16158] [--store]

It writes so many rows of ``sample_scores`` (systems × both protocols × RISBench's 16,158 samples), their samples and
metrics into a lake of its own, then asks, connection and all, as `t2s sql` does: the view `leaderboard` (the middle of
five tries), and `category_breakdown` and `failures`, which read every row. Beside it, gIoU computed from the score
rows in SQL, which must agree with the leaderboard.

The last line is one JSON object: ``leaderboard_seconds``, ``from_rows_seconds``, ``ratio`` (of the two),
``category_breakdown_seconds``, ``failures_seconds`` (its first thousand rows), ``rows``, ``files``, ``peak_mb``.

With ``--store``, the same lake is written to an object store too: the tests' server, in a process of its own on this
machine. The numbers with ``store_`` are those of that lake; ``store_leaderboard_ratio`` is to the lake in the folder.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.evaluation.score import PROTOCOLS
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.lake.views import query
from t2s_pipeline.vision import masks
from tests.lake.places import environment, served
from tests.object_server import BUCKET

PLACE = {"dataset": "risbench", "split": "test"}
TRIES = 5


def write(lake: LakePlace, rows: int, samples: int) -> tuple[int, int]:
    """Fill the lake; returns how many rows and files of scores there are."""
    rng = np.random.default_rng(0)
    names = pa.array([f"{n:06}" for n in range(samples)])
    mask = masks.encode(np.ones((4, 4), bool)).as_arrow()
    table = {
        "sample_id": names,
        "image_id": names,
        "category": [f"class {n % 26}" for n in range(samples)],
        "questions": [["Where is it?"]] * samples,
        "answers": [[]] * samples,
        "mask": [mask] * samples,
        "mask_area": [16] * samples,
        "is_empty": [False] * samples,
    }
    columns = {name: table.get(name, [None] * samples) for name in schema.SAMPLES.schema.names}
    write_partition(lake, schema.SAMPLES, PLACE, pa.table(columns, schema=schema.SAMPLES.schema))
    systems = max(1, round(rows / samples / len(PROTOCOLS)))
    metrics = []
    for system in (f"system-{n:03}" for n in range(systems)):
        for protocol in PROTOCOLS:
            iou = rng.beta(4, 2, samples)
            scores = pa.table(
                {
                    "sample_id": names,
                    "image_id": names,
                    "question_index": np.zeros(samples, np.int32),
                    "intersection": (16 * iou).astype(np.int64),
                    "union": np.full(samples, 16),
                    "iou": iou,
                    "hit": iou > 0.5,
                    "gt_empty": np.zeros(samples, bool),
                    "pred_empty": np.zeros(samples, bool),
                    "status": pa.array(["ok"] * samples),
                },
                schema=schema.SAMPLE_SCORES.schema,
            )
            write_partition(lake, schema.SAMPLE_SCORES, {**PLACE, "system": system, "protocol": protocol}, scores)
            plain = dict.fromkeys(schema.BENCHMARK_METRICS.schema.names)
            metrics.append(
                {**plain, **PLACE, "system": system, "protocol": protocol, "n": samples, "giou": 100 * iou.mean()}
            )
    table = pa.Table.from_pylist(metrics, schema=schema.BENCHMARK_METRICS.schema)
    write_partition(lake, schema.BENCHMARK_METRICS, {}, table)
    return systems * len(PROTOCOLS) * samples, systems * len(PROTOCOLS)


def seconds(settings: Settings, sql: str, tries: int = 1) -> tuple[float, pa.Table]:
    """The middle of so many tries, each with a connection of its own, and the rows."""
    taken = []
    for _ in range(tries):
        started = time.perf_counter()
        rows = query(settings, sql)
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2], rows


def measured(settings: Settings) -> dict[str, float]:
    """The seconds of each query, of a lake that is written.

    Raises:
        SystemExit: if the leaderboard and the score rows do not agree.
    """
    board, shown = seconds(settings, "SELECT system, protocol, giou FROM leaderboard ORDER BY ALL", TRIES)
    direct = "SELECT system, protocol, round(100 * avg(iou), 2) AS giou FROM sample_scores GROUP BY ALL"
    counted, expected = seconds(settings, f"{direct} ORDER BY ALL")
    if not np.allclose(shown["giou"].to_numpy(), expected["giou"].to_numpy(), atol=0.011):
        raise SystemExit("The leaderboard and the score rows do not agree.")
    classes, _ = seconds(settings, "FROM category_breakdown")
    failures, _ = seconds(settings, "FROM failures LIMIT 1000")
    return {
        "leaderboard_seconds": round(board, 3),
        "from_rows_seconds": round(counted, 3),
        "category_breakdown_seconds": round(classes, 2),
        "failures_seconds": round(failures, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--samples", type=int, default=16_158)
    parser.add_argument("--store", action="store_true", help="measure a lake on an object store too")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(home, home / "none", REPO / "sql")
        rows, files = write(settings.lake, options.rows, options.samples)
        of_folder = measured(settings)
        report = {"rows": rows, "files": files, **of_folder}
        report["ratio"] = round(of_folder["from_rows_seconds"] / of_folder["leaderboard_seconds"], 2)
        if options.store:
            os.environ.update(environment(stack.enter_context(served())))
            stored = replace(settings, lake_address=f"s3://{BUCKET}/benchmark")
            write(stored.lake, options.rows, options.samples)
            of_store = measured(stored)
            report |= {f"store_{name}": value for name, value in of_store.items()}
            board = of_store["leaderboard_seconds"] / of_folder["leaderboard_seconds"]
            report["store_leaderboard_ratio"] = round(board, 2)
    report["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
