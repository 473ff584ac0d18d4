"""Writes tests/data/lake_0_1: a lake as release 0.1 (commit 0bc715e) wrote it, with at least one partition per table.

    git worktree add --detach ../release_0_1 0bc715e
    cd ../release_0_1 && python ../<this repository>/tests/data/make_lake_0_1.py FOLDER

It runs with the code of that release, not with today's. The rows are written by hand: three samples of one split, two
systems, of which one is a checkpoint of a run, and two segmenters. Among the names is one that needs encoding.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path.cwd()))

from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import StagedPartition, write_partition

SPLIT = {"dataset": "synthetic", "split": "val"}
SYSTEMS = ("zero-shot-mini", "run a--20")
MASK = {"height": 4, "width": 4, "counts": "022000000"}
PROMPT = {"bbox": [0.0, 0.0, 3.0, 1.0], "positive_points": [[1.0, 0.0], [2.0, 1.0]], "negative_points": []}
NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)
SAMPLES = ("a", "b", "c")


def write(lake: Path, table: schema.Table, partition: dict[str, str], rows: list[dict]) -> None:
    """Write rows whose missing columns are null; the fingerprint names the partition."""
    fingerprint = f"{table.name} " + " ".join(partition.values())
    write_partition(lake, table, partition, pa.Table.from_pylist(rows, schema=table.schema), fingerprint)


def per_sample(**columns: object) -> list[dict]:
    """One row per sample."""
    return [{"sample_id": name, "image_id": name, "question_index": 0, **columns} for name in SAMPLES]


def dataset_tables(lake: Path) -> None:
    """The tables that reading a dataset leaves."""
    image = {"width": 4, "height": 4, "sha256": "0" * 64, "bytes": b"picture"}
    write(lake, schema.IMAGES, SPLIT, [{"image_id": name, "file_name": f"{name}.png", **image} for name in SAMPLES])
    sample = {"questions": ["Where?", "Which?"], "answers": [], "mask": MASK, "mask_area": 8, "is_empty": False}
    write(lake, schema.SAMPLES, SPLIT, per_sample(category="ship", **sample))
    choices = [
        *per_sample(rule="draw", seed="think2seg-rs reference draw 1", published=True),
        *per_sample(rule="first", seed="", published=False),
    ]
    write(lake, schema.SELECTIONS, SPLIT, choices)
    write(lake, schema.REJECTS, SPLIT, [{"source": "d.png", "reason": "no_mask", "detail": "no file"}])


def label_tables(lake: Path) -> None:
    """The tables about pseudo-labels."""
    label = {"bbox": [0.0, 0.0, 3.0, 1.0], "points": [[1.0, 0.0]], "area": 8, "side": 840, "left_out": 0}
    write(lake, schema.PSEUDO_LABELS, {"method": "seg-zero", **SPLIT}, per_sample(instance=0, **label))
    judged = {"prompt_combination": "seg-zero", "prompts": [PROMPT], "intersection": 8, "union": 8, "iou": 1.0}
    place = {"method": "seg-zero", "segmenter": "sam2-mini", **SPLIT}
    write(lake, schema.LABEL_QUALITY, place, per_sample(side=840, mask=MASK, **judged))


def training_tables(lake: Path) -> None:
    """The tables of a training run."""
    run = {"run": "run a"}
    checkpoint = {"experiment": "think2seg-mini", "base_model": "zero-shot-mini", "settings": "{}", "created_at": NOON}
    rows = [{"checkpoint": name, "step": step, **checkpoint} for name, step in (("run a--20", 20), ("run a", 40))]
    write(lake, schema.CHECKPOINTS, run, rows)
    write(lake, schema.TRAINING_LOG, run, [{"step": 1, "reward": 0.5, "reward_parts": [("mask_iou", 0.5)]}])
    write(lake, schema.TRAINING_SAMPLES, run, [{"step": 1, "sample_id": "a", "text": "{}", "prompts": [PROMPT]}])


def answer_tables(lake: Path) -> None:
    """The tables of what systems answered, and of the scores."""
    for system in SYSTEMS:
        text = {"text": "<answer>[]</answer>", "tokens": 3, "finish_reason": "stop", "seconds": 0.5}
        write(lake, schema.COMPLETIONS, {"checkpoint": system, **SPLIT}, per_sample(**text))
        prediction = {
            "status": "ok",
            "prompts": [PROMPT],
            "side": 4,
            "mask": MASK,
            "square_mask": MASK,
            "scores": [0.9],
        }
        for segmenter in ("sam2-mini", "sam2.1-large"):
            place = {"checkpoint": system, "segmenter": segmenter, **SPLIT}
            write(lake, schema.PREDICTIONS, place, per_sample(**prediction))
        score = {"intersection": 8, "union": 8, "iou": 1.0, "hit": True, "status": "ok"}
        write(lake, schema.SAMPLE_SCORES, {"system": system, "protocol": "strict", **SPLIT}, per_sample(**score))
    sampled = {
        "draws": 4,
        "agreement": 0.75,
        "rejected": 0,
        "unread": 1,
        "texts": ["x"] * 4,
        "settings": '{"draws": 4}',
    }
    write(lake, schema.AGREEMENT, {"system": "zero-shot-mini", **SPLIT}, per_sample(**sampled))
    missing = [{"source": "", "reason": "missing", "sample_id": "c"}]
    write(lake, schema.PREDICTION_REJECTS, {"system": "zero-shot-mini", **SPLIT}, missing)


def result_tables(lake: Path) -> None:
    """The tables over all systems."""
    scores = {"protocol": "strict", "n": 3, "giou": 100.0, **SPLIT}
    write(lake, schema.BENCHMARK_METRICS, {}, [{"system": system, **scores} for system in SYSTEMS])
    write(lake, schema.PAIRED_DIFFERENCES, {}, [{"system": SYSTEMS[1], "baseline": SYSTEMS[0], **SPLIT}])
    write(lake, schema.RESCORES, {"system": SYSTEMS[1], **SPLIT}, [{"scored_at": NOON, "n": 3, "dropped": False}])
    write(lake, schema.PUBLISHED_METRICS, {}, [{"paper_table": 1, "system": "Think2Seg-RS", "metric": "giou"}])


def unfinished_work(lake: Path) -> None:
    """A piece of completions that a stopped run left."""
    staged = StagedPartition(lake, schema.COMPLETIONS, {"checkpoint": "run a", **SPLIT}, "of the code of that release")
    rows = [{"sample_id": "a", "question_index": 0, "text": "half done"}]
    staged.append(pa.Table.from_pylist(rows, schema=schema.COMPLETIONS.schema))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for write_tables in (dataset_tables, label_tables, training_tables, answer_tables, result_tables, unfinished_work):
        write_tables(folder)
