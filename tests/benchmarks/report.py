"""How long the results page of a large split takes to build, and to open in a browser.

    python -m tests.benchmarks.report [--samples 20000]

It writes a split of so many samples: the embedded scenes and answers of the page's own tests, repeated under other
names. Then it builds the page in a process of its own, and opens it in Chromium if there is one. Opening lasts from the
call to the browser until the page with its pictures has been loaded. The same is done with a hundredth of the samples.

The last line is one JSON object: ``seconds``, ``processor_seconds``, ``peak_mb``, ``megabytes`` (of the page),
``open_seconds`` (null without Chromium), ``fewer`` (the same of the hundredth).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.table import Table
from tests.browser import PROGRAM, Browser
from tests.reporting.report_lake import write as write_small
from tests.reporting.report_lake import write_training

DISTINCT = 60
"""Samples that are really made; the others are these again."""

REPEATED = (schema.IMAGES, schema.SAMPLES, schema.COMPLETIONS, schema.PREDICTIONS, schema.SAMPLE_SCORES)


def write(lake: Path, samples: int) -> None:
    """Fill a lake with a split of so many samples."""
    write_small(lake, min(DISTINCT, samples))
    write_training(lake)
    for table in REPEATED:
        for partition in store.list_partitions(lake, table):
            _repeat(lake, table, partition, samples)
    metrics = store.read_partition(lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    rows = [{**row, "n": samples, "answers": samples} for row in metrics]
    store.write_partition(
        lake, schema.BENCHMARK_METRICS, {}, pa.Table.from_pylist(rows, schema.BENCHMARK_METRICS.schema)
    )


def _repeat(lake: Path, table: Table, partition: Partition, samples: int) -> None:
    rows = store.read_partition(lake, table, partition)
    copies = []
    for copy in range(-(-samples // rows.num_rows)):
        part = rows.slice(0, min(rows.num_rows, samples - copy * rows.num_rows))
        for name in {"sample_id", "image_id"} & set(rows.column_names):
            named = pc.binary_join_element_wise(part[name], f"copy {copy:04}", " ")
            part = part.set_column(part.schema.get_field_index(name), name, named)
        copies.append(part)
    batches = (batch for part in copies for batch in part.to_batches())
    store.write_partition(lake, table, partition, batches)


def build(home: Path) -> dict[str, float]:
    """In a process of its own: build the page."""
    from t2s_pipeline.reporting.page import build_report

    began = time.perf_counter()
    build_report(Settings(home, home / "none", REPO / "sql"))
    status = Path("/proc/self/status").read_text("utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "processor_seconds": time.process_time(), "peak_mb": int(kilobytes) / 1024}


def open_seconds(page: Path, profile: Path) -> float | None:
    """Seconds from the call to the browser until the page with its pictures has been loaded; the least of three."""
    if PROGRAM is None:
        return None
    browser = Browser(profile)
    try:
        times = []
        for _ in range(3):
            browser.open("about:blank")
            began = time.perf_counter()
            browser.open(page.as_uri())
            browser.wait_for("location.protocol == 'file:' && document.readyState == 'complete' && document.title")
            times.append(time.perf_counter() - began)
        return min(times)
    finally:
        browser.close()


def measure(home: Path, samples: int) -> dict[str, Any]:
    """The figures of a split of so many samples."""
    write(home / "lake", samples)
    command = [sys.executable, "-m", "tests.benchmarks.report", "--build", str(home)]
    done = subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, text=True, check=True)
    page = Settings(home, home / "none").page
    opened = open_seconds(page, home / "profile")
    return {
        **{name: round(value, 2) for name, value in json.loads(done.stdout.splitlines()[-1]).items()},
        "megabytes": round(page.stat().st_size / 1e6, 2),
        "open_seconds": None if opened is None else round(opened, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        print(json.dumps(build(options.build)))
        return
    with tempfile.TemporaryDirectory() as folder:
        fewer = measure(Path(folder) / "fewer", max(12, options.samples // 100))
        result = measure(Path(folder) / "all", options.samples)
    print(json.dumps({"samples": options.samples, **result, "fewer": fewer}))


if __name__ == "__main__":
    main()
