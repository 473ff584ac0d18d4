"""The ceiling that labels set: they are fed to the frozen segmenter as if a perfect prompter had answered.  [torch]

For each method, as the method itself feeds its labels, and its instances in each of the paper's prompt combinations
(single-mask output, as Think2Seg-RS). The method ``search`` is no method: for each combination, the best prompts that
a small search finds, begun at whichever method's labels draw most.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.evaluation.prompt_search import improved
from t2s_pipeline.lake.prompts import prompts_to_arrow
from t2s_pipeline.lake.schema import IMAGES, LABEL_QUALITY, PSEUDO_LABELS, SAMPLES
from t2s_pipeline.lake.store import Partition, read_partition, scan, write_partition
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.registry import METHODS, methods_with_labels
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination, Shape
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH, ideal_prompts
from t2s_pipeline.pseudo_labels.label import Label, Labelling, on_square
from t2s_pipeline.pseudo_labels.labellings import recorded
from t2s_pipeline.pseudo_labels.table import read_labels
from t2s_pipeline.segmenters.embedding import Embedding
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import FULL_SIDE, Frame, PromptObject
from t2s_pipeline.vision.image_files import decode_image

COMBINATIONS = ("bbox", "pos2", "bbox+pos2", "bbox+pos4", "bbox+pos2+neg2")
"""Table 6."""
SQUARE = Frame.square(FULL_SIDE)
MOST_SEARCHED = 1024 * 1024
"""Pixels: in a larger image the search counts its overlap on the square."""
GOOD_ENOUGH = 0.95
"""IoU of labels beyond which the search does not look for better prompts."""


@dataclass(frozen=True)
class _Fed:
    """Prompts for one sample, and what the segmenter drew of them at native size."""

    method: str
    combination: str
    prompts: tuple[PromptObject, ...]
    mask: np.ndarray


def judge_labels(
    home: Path,
    segmenter_name: str,
    dataset: str,
    split: str,
    fingerprint: str,
    progress: Progress,
    device: str = "cpu",
    rounds: int = 1,
) -> None:
    """Write a split's partitions of ``label_quality``, one a method and one for the search.

    Args:
        rounds: of the search; 0 leaves it out, and then its partition is empty.

    Raises:
        NotMaterializedError: if images, samples or labels of the split are not in the lake.
    """
    lake, where = home / "lake", {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, where, ["sample_id", "image_id", "mask"]).to_pylist()
    by_image: dict[str, list[dict]] = {}
    for sample in samples:
        by_image.setdefault(sample["image_id"], []).append(sample)
    methods = methods_with_labels()
    labels = {name: read_labels(lake, method.labels, where) for name, method in methods.items()}
    labellings = {name: _labelling(lake, method.labels, where) for name, method in methods.items()}
    segmenter = load_segmenter(segmenter_name, device)
    rows: dict[str, list[dict]] = {method: [] for method in (*methods, SEARCH)}
    done = 0
    progress.start(f"{segmenter.name} draws the labels of {dataset}-{split}:", len(samples), 0)
    for batch in scan(lake, IMAGES, where, ["image_id", "bytes"], batch_rows=16):
        for image_id, data in zip(batch["image_id"].to_pylist(), batch["bytes"], strict=True):
            if image_id not in by_image:
                continue
            embedding = segmenter.encode(decode_image(data.as_py()))
            for sample in by_image[image_id]:
                own = {method: labels[method].get(sample["sample_id"], ()) for method in methods}
                for row in _judged(segmenter, embedding, sample, own, labellings, rounds):
                    rows[row.pop("method")].append(row)
                done += 1
                progress.advance(done)
    for method, judged in rows.items():
        table = pa.Table.from_pylist(judged, schema=LABEL_QUALITY.schema)
        partition = {"method": method, "segmenter": segmenter_name, **where}
        write_partition(lake, LABEL_QUALITY, partition, table, fingerprint)


def _labelling(lake: Path, method: str, where: Partition) -> Labelling:
    """The labelling with the parameters that made the labels; its usual ones if there is no label."""
    found = read_partition(lake, PSEUDO_LABELS, {"method": method, **where}, ["parameters"])["parameters"].unique()
    return recorded(method, json.loads(found[0].as_py()) if len(found) else {})


def _judged(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    sample: dict,
    labels: Mapping[str, Sequence[Label]],
    labellings: Mapping[str, Labelling],
    rounds: int,
) -> list[dict]:
    """A sample's rows, each with its ``method``."""
    truth = masks.decode(masks.Rle.from_arrow(sample["mask"]))
    square = on_square(truth, FULL_SIDE)
    fed: list[_Fed] = []
    # Methods often cut a mask into the same instances.
    drawn: dict[tuple[bytes, ...], list[_Fed]] = {}
    for method in labels:
        inference = METHODS[method].recipe.inference
        own = inference.prompts(_as_prompts(labels[method]))
        fed += _segment(segmenter, embedding, method, {method: own}, inference)
        instances = [on_square(instance, FULL_SIDE) for instance in labellings[method].instances(truth)]
        instances = [instance for instance in instances if instance.any()]
        same = tuple(instance.tobytes() for instance in instances)
        if same not in drawn:
            prompts = ideal_prompts(instances, square, [PROMPT_COMBINATIONS[name] for name in COMBINATIONS])
            drawn[same] = _segment(segmenter, embedding, method, prompts, Inference())
        fed += [replace(item, method=method) for item in drawn[same]]
    if rounds:
        fed += _searched(segmenter, embedding, fed, truth, square, rounds, sample["sample_id"])
    return [_row(item, sample, truth) for item in fed]


def _searched(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    fed: Sequence[_Fed],
    truth: np.ndarray,
    square: np.ndarray,
    rounds: int,
    sample_id: str,
) -> list[_Fed]:
    """For each combination, the search's result, or its start where that draws more at native size."""
    found = []
    counted = truth if truth.size <= MOST_SEARCHED else square
    for number, name in enumerate(COMBINATIONS):
        tried = [item for item in fed if item.combination == name]
        start = max(tried, key=lambda item: _iou(item.mask, truth))
        best = _Fed(SEARCH, name, start.prompts, start.mask)
        if start.prompts and truth.any() and _iou(start.mask, truth) < GOOD_ENOUGH:
            seed = (number, *sample_id.encode())
            prompts = improved(segmenter, embedding, start.prompts, counted, square, rounds, seed)
            [new] = _segment(segmenter, embedding, SEARCH, {name: prompts}, Inference())
            best = max(best, new, key=lambda item: _iou(item.mask, truth))
        found.append(best)
    return found


def _segment(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    method: str,
    prompts: Mapping[str, tuple[PromptObject, ...]],
    inference: Inference,
) -> list[_Fed]:
    """Prompt sets by the name of their combination, drawn together."""
    drawn = segmenter.decode(embedding, list(prompts.values()), SQUARE, embedding.native, inference.multimask)
    return [_Fed(method, name, prompts[name], one.mask) for name, one in zip(prompts, drawn, strict=True)]


def _as_prompts(labels: Sequence[Label]) -> tuple[PromptObject, ...]:
    return tuple(PromptObject(label.bbox, label.points) for label in labels)


def _iou(mask: np.ndarray, truth: np.ndarray) -> float:
    shared, either = masks.intersection_union(mask, truth)
    return shared / either if either else 1.0


def _asked_by(method: str) -> PromptCombination:
    """The prompt combination that a method asks its prompter for."""
    return PROMPT_COMBINATIONS[METHODS[method].recipe.combination]


def _row(item: _Fed, sample: dict, truth: np.ndarray) -> dict:
    shared, either = masks.intersection_union(item.mask, truth)
    own = item.combination == item.method
    # A perfect prompter that cannot say "no target" must name one.
    mute = own and _asked_by(item.method).shape is Shape.ONE_OBJECT and not truth.any()
    return {
        "method": item.method,
        "sample_id": sample["sample_id"],
        "image_id": sample["image_id"],
        "prompt_combination": item.combination,
        "objects": len(item.prompts),
        "gt_empty": not truth.any(),
        "prompts": prompts_to_arrow(item.prompts),
        "side": FULL_SIDE,
        "intersection": shared,
        "union": either,
        "iou": 0.0 if mute else _iou(item.mask, truth),
        "mask": masks.encode(item.mask).as_arrow() if own else None,
    }
