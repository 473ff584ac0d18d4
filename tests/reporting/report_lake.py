"""A small lake for the tests of the results page: embedded scenes, and two systems whose answers we make up.

The trained one boxes the target well, the base shifts the box by a quarter of its width; both masks are
the box filled. So the tables are consistent with each other, and no model is needed.
"""

import functools
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from t2s_pipeline.datasets.synthetic.layout import scene_of
from t2s_pipeline.datasets.synthetic.scenes import Scene
from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.table import Table
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.masks import encode, intersection_union

SIDE = 168
SYSTEM, BASELINE = "think2seg-mini", "zero-shot-mini"


@functools.cache
def _scene(split: str, index: int) -> tuple[Scene, bytes]:
    """An embedded scene and its PNG file."""
    scene, buffer = scene_of(2025, split, index), io.BytesIO()
    Image.fromarray(scene.image).save(buffer, "PNG")
    return scene, buffer.getvalue()


def write(lake: Path, n: int = 12, dataset: str = "synthetic", split: str = "test", **texts: str) -> None:
    """Everything but the training log. ``texts`` may set the question and the thought."""
    part = {"dataset": dataset, "split": split}
    images, samples = [], []
    answers = {SYSTEM: [], BASELINE: []}
    rng = np.random.default_rng(7)
    for index in range(n):
        scene, file = _scene(split, index)
        mask = np.zeros_like(scene.mask) if index % 6 == 5 else scene.mask
        key = f"{split}_{index:05d}"
        height, width = mask.shape
        images.append(
            {
                "image_id": key,
                "file_name": f"{split}/images/{key}.png",
                "width": width,
                "height": height,
                "sha256": hashlib.sha256(file).hexdigest(),
                "bytes": file,
            }
        )
        samples.append(
            {
                "sample_id": key,
                "image_id": key,
                "category": "tank",
                "questions": [texts.get("question") or scene.questions[0]],
                "answers": [],
                "mask": encode(mask).as_arrow(),
                "mask_area": int(mask.sum()),
                "is_empty": not mask.any(),
            }
        )
        for system in answers:
            shift = rng.normal(0, 0.06) if system == SYSTEM else rng.normal(0.25, 0.2)
            answers[system].append(_answer(key, mask, shift, index, system, texts.get("thought")))
    store.write_partition(lake, schema.IMAGES, part, pa.Table.from_pylist(images, schema.IMAGES.schema))
    store.write_partition(lake, schema.SAMPLES, part, pa.Table.from_pylist(samples, schema.SAMPLES.schema))
    metrics, per_sample = [], {}
    for system, rows in answers.items():
        for name, table in (("completion", schema.COMPLETIONS), ("prediction", schema.PREDICTIONS)):
            home = {"system": system, **part} | ({"segmenter": "sam2-mini"} if name == "prediction" else {})
            store.write_partition(lake, table, home, pa.Table.from_pylist([r[name] for r in rows], table.schema))
        for protocol in ("strict", "reference"):
            scores = pa.Table.from_pylist([r["score"] for r in rows], schema.SAMPLE_SCORES.schema)
            home = {"system": system, **part, "protocol": protocol}
            store.write_partition(lake, schema.SAMPLE_SCORES, home, scores)
            per_sample[system] = np.array(scores.column("iou").to_pylist())
            metrics.append(_metrics(system, part, protocol, rows, per_sample[system]))
    gain = 100 * (per_sample[SYSTEM] - per_sample[BASELINE])
    spread = 1.96 * gain.std() / np.sqrt(n)
    difference = {
        "system": SYSTEM, "baseline": BASELINE, **part, "protocol": "strict", "metric": "giou", "n": n,
        "difference": gain.mean(), "low": gain.mean() - spread, "high": gain.mean() + spread,
    }  # fmt: skip
    checkpoint = pa.Table.from_pylist([{"system": SYSTEM, "step": 60}], schema.CHECKPOINTS.schema)
    store.write_partition(lake, schema.CHECKPOINTS, {"run": SYSTEM}, checkpoint)
    append(lake, schema.BENCHMARK_METRICS, metrics)
    append(lake, schema.PAIRED_DIFFERENCES, [difference])


def write_training(lake: Path, run: str = SYSTEM, steps: int = 60) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for step in range(1, steps + 1):
        iou = 0.35 + 0.3 * step / steps + rng.normal(0, 0.05)
        rows.append(
            dict.fromkeys(schema.TRAINING_LOG.schema.names, 0.0)
            | {"samples": [], "warnings": []}
            | {"step": step, "abstained": 0, "reward": 0.9 + 2 * iou, "reward_parts": {"format": 0.9, "mask_iou": iou}}
            | {"valid_share": 0.9, "kl": 0.0005 * step, "zero_variance_share": 0.1, "seconds": 4.0}
        )
    table = pa.Table.from_pylist(
        [row | {"reward_parts": list(row["reward_parts"].items())} for row in rows], schema.TRAINING_LOG.schema
    )
    store.write_partition(lake, schema.TRAINING_LOG, {"run": run}, table)


def append(lake: Path, table: Table, rows: list[dict]) -> None:
    old = store.read_partition(lake, table, {}).to_pylist() if store.list_partitions(lake, table) else []
    store.write_partition(lake, table, {}, pa.Table.from_pylist(old + rows, table.schema))


def _answer(key: str, mask: np.ndarray, shift: float, index: int, system: str, thought: str | None) -> dict:
    """One system's completion, prediction and score for one sample."""
    height, width = mask.shape
    thought = thought or "Tankers unload where pipes end: look for round roofs beside the water."
    prompts, text, predicted, status = [], "", np.zeros_like(mask), "rejected"
    if system == BASELINE and index % 7 == 3:
        status, text = "format_error", f"<think>{thought}</think><answer>[{{"
    elif mask.any() or system == BASELINE:
        ys, xs = np.nonzero(mask) if mask.any() else (np.array([40, 90]), np.array([30, 120]))
        by = shift * (xs.max() - xs.min() + 1)
        box = (max(0, xs.min() + by), float(ys.min()), min(width, xs.max() + 1 + by), float(ys.max() + 1))
        x0, y0, x1, y1 = box
        points = (((x0 + x1) / 2, (y0 + y1) / 2), (x0 + (x1 - x0) / 3, y0 + (y1 - y0) / 3))
        moved = PromptObject(box, points).moved(Frame(width, height), Frame.square(SIDE))
        prompts = [{"bbox": moved.bbox, "positive_points": moved.positive_points, "negative_points": []}]
        predicted[int(y0) : int(y1), int(x0) : int(x1)] = True
        status = "ok"
        answer = {"bbox_2d": [round(v) for v in moved.bbox]}
        text = f"<think>{thought}</think>\n<answer>{json.dumps([answer])}</answer>"
    else:
        text = f"<think>{thought}</think>\n<answer>[]</answer>"
    intersection, union = intersection_union(mask, predicted)
    iou = intersection / union if union else 1.0
    names = {"sample_id": key, "question_index": 0}
    square = Image.fromarray(predicted).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return {
        "completion": names | {"text": text, "tokens": 40, "finish_reason": "stop", "seconds": 0.1, "settings": "{}"},
        "prediction": names
        | {"status": status, "detail": "json: ends too soon" if status == "format_error" else "", "repaired": False}
        | {"prompts": prompts, "side": SIDE, "mask": encode(predicted).as_arrow(), "scores": [0.9]}
        | {"square_mask": encode(np.asarray(square)).as_arrow()},
        "score": names
        | {"image_id": key, "intersection": intersection, "union": union, "iou": iou, "hit": iou > 0.5}
        | {"gt_empty": not mask.any(), "pred_empty": not predicted.any(), "status": status},
    }


def _metrics(system: str, part: dict, protocol: str, rows: list[dict], ious: np.ndarray) -> dict:
    giou, spread = 100 * ious.mean(), 196 * ious.std() / np.sqrt(len(ious))
    empties = [r["score"] for r in rows if r["score"]["gt_empty"]]
    declined = sum(score["pred_empty"] for score in empties)
    row = {"system": system, **part, "protocol": protocol, "n": len(rows), "answers": len(rows)}
    for name, value in (("giou", giou), ("ciou", giou - 3), ("p_at_50", 100 * (ious > 0.5).mean())):
        row |= {name: value, f"{name}_low": max(0, value - spread), f"{name}_high": min(100, value + spread)}
    unread = sum(r["score"]["status"] == "format_error" for r in rows)
    row |= {"rejection_true": declined, "rejection_false": len(empties) - declined}
    return row | {"format_errors": unread, "errors": 0, "base": BASELINE if system == SYSTEM else None}
