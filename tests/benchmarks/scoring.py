"""How fast stored predictions are scored, and 2,000 resamples drawn, on two cores and in how much memory.

    python -m tests.benchmarks.scoring [--predictions 100000] [--questions 6] [--side 512] [--pixels 2000]

It writes a split and a system's predictions into a lake of its own, then, in a process of its own that is held to two
cores and to 1 GB of address space beyond what the interpreter and its libraries take, runs what `t2s` runs: the step
`score`, under both protocols, from Parquet to Parquet. Beside it, the same scores of ``--pixels`` of the predictions by
decoding every mask and counting pixels with NumPy, which must agree. Last, gIoU, cIoU and P@0.5 with 2,000 bootstrap
resamples over 16,158 samples (RISBench's test split).

The last line is one JSON object: ``seconds`` (both protocols, the whole process from reading to written),
``per_second`` (predictions), ``ratio`` (to decoding, per answer), ``peak_mb`` (resident at its highest) and
``bootstrap_seconds``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.evaluation.metrics import summarize
from t2s_pipeline.evaluation.score import score_predictions
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.vision import masks

PLACE = {"dataset": "synthetic", "split": "test"}
PREDICTED = {**PLACE, "system": "zero-shot-mini", "segmenter": "sam2-mini"}
SQUARE = 840
DISTINCT = 300
"""Masks that are really drawn; the others are these again."""
RISBENCH_TEST = 16_158
MEMORY_MB = 1024


def write(lake: Path, predictions: int, questions: int, side: int) -> None:
    """A split of one target a sample, and one prediction a question."""
    rng = np.random.default_rng(0)
    drawn = [_blobs(rng, side) for _ in range(DISTINCT)]
    native = [masks.encode(mask).as_arrow() for mask in drawn]
    square = [masks.encode(masks.nearest(mask, SQUARE, SQUARE)).as_arrow() for mask in drawn]
    areas = [int(mask.sum()) for mask in drawn]
    count = -(-predictions // questions)
    truth = [n % DISTINCT for n in range(count)]
    samples = {
        "sample_id": [f"{n:06}" for n in range(count)],
        "image_id": [f"{n:06}" for n in range(count)],
        "category": [None] * count,
        "questions": [[f"Question {k}?" for k in range(questions)]] * count,
        "answers": [[]] * count,
        "mask": [native[k] for k in truth],
        "mask_area": [areas[k] for k in truth],
        "is_empty": [areas[k] == 0 for k in truth],
    }
    columns = {name: samples.get(name, [None] * count) for name in schema.SAMPLES.schema.names}
    write_partition(lake, schema.SAMPLES, PLACE, pa.table(columns, schema=schema.SAMPLES.schema), "samples")
    chosen = (np.arange(predictions) // questions + rng.integers(0, 3, predictions)) % DISTINCT
    rows = {
        "sample_id": [f"{n // questions:06}" for n in range(predictions)],
        "question_index": [n % questions for n in range(predictions)],
        "status": ["ok"] * predictions,
        "repaired": [False] * predictions,
        "side": [SQUARE] * predictions,
        "mask": [native[k] for k in chosen],
        "square_mask": [square[k] for k in chosen],
    }
    columns = {name: rows.get(name, [None] * predictions) for name in schema.PREDICTIONS.schema.names}
    write_partition(lake, schema.PREDICTIONS, PREDICTED, pa.table(columns, schema=schema.PREDICTIONS.schema), "made")


def _blobs(rng: np.random.Generator, side: int) -> np.ndarray:
    """A few overlapping ellipses with ragged borders: some hundreds of runs."""
    y, x = np.mgrid[:side, :side] / side
    mask = np.zeros((side, side), bool)
    for _ in range(rng.integers(1, 6)):
        cx, cy, a, b = *rng.random(2), *rng.uniform(0.03, 0.25, 2)
        mask |= ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 + rng.normal(0, 0.02, (side, side)) < 1
    return mask


def score(home: Path) -> dict[str, float]:
    """In a process of its own: the step, under both protocols."""
    from t2s_pipeline.core.settings import Settings
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.steps.scores import score_under_every_protocol

    # Address space is more than resident memory, and libraries reserve theirs when they are loaded.
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started = time.perf_counter()
    runner = Runner(Settings(home, home / "none"), lambda _: None, lambda _: None)
    for step in score_under_every_protocol("zero-shot-mini", "sam2-mini", *PLACE.values()):
        runner.run(step)
    seconds = time.perf_counter() - started
    # Not ru_maxrss: it begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text("utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"seconds": seconds, "peak_mb": int(kilobytes) / 1024}


def decode_and_count(samples: pa.Table, predictions: pa.Table) -> list[tuple[int, int]]:
    """Intersection and union of each prediction with its truth, by pixels."""
    truths = {row["sample_id"]: row["mask"] for row in samples.select(["sample_id", "mask"]).to_pylist()}
    counted = []
    for row in predictions.select(["sample_id", "mask"]).to_pylist():
        pair = (masks.decode(masks.Rle.from_arrow(value)) for value in (row["mask"], truths[row["sample_id"]]))
        counted.append(masks.intersection_union(*pair))
    return counted


def compare(lake: Path, count: int) -> float:
    """Seconds an answer takes by pixels, over seconds it takes on run lengths; proves that both agree."""
    predictions = read_partition(lake, schema.PREDICTIONS, PREDICTED).slice(0, count)
    known = set(predictions["sample_id"].to_pylist())
    samples = read_partition(lake, schema.SAMPLES, PLACE)
    samples = samples.filter(pa.array([key in known for key in samples["sample_id"].to_pylist()]))
    started = time.perf_counter()
    ours = score_predictions(samples, predictions, "strict")
    between = time.perf_counter()
    plain = decode_and_count(samples, predictions)
    ended = time.perf_counter()
    if plain != list(zip(ours["intersection"].to_pylist(), ours["union"].to_pylist(), strict=True)):
        raise SystemExit("Run lengths and pixels do not agree.")
    return (ended - between) / (between - started)


def bootstrap_seconds(samples: int) -> float:
    rng = np.random.default_rng(0)
    union, share = rng.integers(1, 200_000, samples), rng.random(samples)
    names = [f"{n:06}" for n in range(samples)]
    columns = {
        "sample_id": names,
        "image_id": names,
        "question_index": np.zeros(samples, np.int32),
        "intersection": (union * share).astype(np.int64),
        "union": union,
        "iou": share,
        "hit": share > 0.5,
        "gt_empty": np.zeros(samples, bool),
        "pred_empty": np.zeros(samples, bool),
        "status": ["ok"] * samples,
    }
    table = pa.table(columns, schema=schema.SAMPLE_SCORES.schema)
    started = time.perf_counter()
    summarize(table)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=6)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--pixels", type=int, default=2_000)
    parser.add_argument("--samples", type=int, default=RISBENCH_TEST, help="of the bootstrap")
    parser.add_argument("--score", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.score:
        print(json.dumps(score(options.score)))
        return
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write(home / "lake", options.predictions, options.questions, options.side)
        command = [sys.executable, "-m", "tests.benchmarks.scoring", "--score", str(home)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        ratio = compare(home / "lake", min(options.pixels, options.predictions))
    told = {
        "predictions": options.predictions,
        "cores": len(cores),
        "seconds": round(found["seconds"], 2),
        "per_second": round(options.predictions / found["seconds"]),
        "ratio": round(ratio, 2),
        "peak_mb": round(found["peak_mb"]),
        "bootstrap_seconds": round(bootstrap_seconds(options.samples), 3),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
