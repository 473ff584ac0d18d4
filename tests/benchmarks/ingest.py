"""How fast a benchmark is read into the lake, in how much memory, beside a plain loop over the same files.

    python -m tests.benchmarks.ingest [--samples 10000] [--fewer 2000] [--side 512] [--folder DIR]

It draws ``--samples`` samples in EarthReason's layout (JPEG image, PNG label, JSON questions), then, each in a process
of its own:

* ``t2s ingest``, as a user runs it: every file hashed, every image decoded whole and hashed, every label decoded and
  encoded as run lengths, all written to the lake and flushed; once for ``--fewer`` samples and once for all of them;
* a plain loop in one process: Pillow opens and decodes the image, decodes the label, pycocotools encodes it, the
  questions are parsed. It writes nothing, checks nothing and keeps only the run lengths.

The files lie in the system's cache for both. The last line is one JSON object: ``per_second`` (ours, all samples),
``plain_per_second``, ``ratio`` (ours to plain), ``peak_mb`` and ``peak_mb_fewer`` (resident memory at its highest).
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

DISTINCT = 40
"""Pictures that are really drawn; the others are these with other bytes after their end, so other files."""


def draw(root: Path, split: str, samples: int, side: int) -> int:
    """Write a split; returns the bytes of its images."""
    rng = np.random.default_rng(0)
    folder = root / split
    for name in ("images", "labels", "QAs"):
        (folder / name).mkdir(parents=True)
    drawn = [(_photo(rng, side), _label(rng, side)) for _ in range(min(DISTINCT, samples))]
    qa = json.dumps({"questions": [f"Question {n} of six, of some length?" for n in range(6)], "answer": ["There."]})
    total = 0
    for n in range(samples):
        image, label = drawn[n % len(drawn)]
        data = image + n.to_bytes(4, "big")
        (folder / "images" / f"{n:06}.jpg").write_bytes(data)
        (folder / "labels" / f"{n:06}.png").write_bytes(label)
        (folder / "QAs" / f"{n:06}.json").write_text(qa)
        total += len(data)
    return total


def _photo(rng: np.random.Generator, side: int) -> bytes:
    """Land from above as a JPEG encoder sees it: large patches, edges and grain."""
    coarse = Image.fromarray(rng.integers(40, 200, (12, 12, 3), dtype=np.uint8)).resize((side, side), Image.BICUBIC)
    pixels = np.asarray(coarse, dtype=np.float32) + rng.normal(0, 14, (side, side, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _label(rng: np.random.Generator, side: int) -> bytes:
    blobs = Image.fromarray(rng.integers(0, 256, (10, 10), dtype=np.uint8)).resize((side, side), Image.BICUBIC)
    buffer = io.BytesIO()
    Image.fromarray(((np.asarray(blobs) > 170) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def plain_loop(folder: Path) -> int:
    """What a script would do, in one process."""
    from pycocotools import mask as coco

    kept = []
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            image.load()
        with Image.open(folder / "labels" / f"{path.stem}.png") as label:
            mask = np.array(label) > 0
        questions = json.loads((folder / "QAs" / f"{path.stem}.json").read_text())["questions"]
        kept.append((path.stem, questions, coco.encode(np.asfortranarray(mask, dtype=np.uint8))))
    return len(kept)


def timed(command: list[str], home: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of a process."""
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "T2S_HOME": str(home)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return seconds, used.ru_maxrss / 1024


def measure(root: Path, samples: int, fewer: int, side: int) -> dict[str, float]:
    total = draw(root / "data", "train", samples, side)
    draw(root / "data", "val", fewer, side)
    print(f"{samples} samples of {side}², {total / samples / 1000:.0f} kB an image", flush=True)
    ours: dict[str, tuple[float, float]] = {}
    for split, count in (("val", fewer), ("train", samples)):
        command = [sys.executable, "-m", "t2s_pipeline.cli", "ingest", str(root / "data"), "--only", split]
        ours[split] = timed(command, root / "home")
        seconds, peak = ours[split]
        print(f"t2s ingest, {count}: {seconds:.1f} s, {count / seconds:.0f}/s, {peak:.0f} MB at most", flush=True)
    command = [sys.executable, "-m", "tests.benchmarks.ingest", "--plain", str(root / "data" / "train")]
    seconds, peak = timed(command, root / "home")
    print(f"plain loop, {samples}: {seconds:.1f} s, {samples / seconds:.0f}/s, {peak:.0f} MB at most", flush=True)
    return {
        "samples": samples,
        "cpus": len(os.sched_getaffinity(0)),
        "per_second": round(samples / ours["train"][0], 1),
        "plain_per_second": round(samples / seconds, 1),
        "ratio": round(seconds / ours["train"][0], 2),
        "peak_mb": round(ours["train"][1]),
        "peak_mb_fewer": round(ours["val"][1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--fewer", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="where to draw; needs some 3 GB for 10,000 samples")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain_loop(options.plain)
        return
    root = Path(tempfile.mkdtemp(prefix="t2s-ingest-", dir=options.folder))
    try:
        print(json.dumps(measure(root, options.samples, options.fewer, options.side)))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
