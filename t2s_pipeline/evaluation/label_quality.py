"""The upper limit that labels set: they are given to the frozen segmenter as if a perfect prompter had answered.

For each method, two kinds of prompts are judged: the method's own labels, as the method itself gives them to the
segmenter, and its instances in each of the paper's prompt combinations (single-mask output, as in Think2Seg-RS). The
method ``search`` is not a method. It stands for the best prompts per combination that a small search finds. The search
starts at the labels of the method with the highest IoU.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.core.distribution.crew import ON_CPU, Team
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.evaluation.kinds import wider_prompts
from t2s_pipeline.evaluation.prompt_search import improved
from t2s_pipeline.evaluation.windows import Item, Split, StagedWindows, Window, by_image, plan
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.prompts import prompts_to_arrow
from t2s_pipeline.lake.schema import LABEL_QUALITY, PSEUDO_LABELS, SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.registry import METHODS, methods_with_labels
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination, Shape
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH, ideal_prompts
from t2s_pipeline.pseudo_labels.label import Label, Labelling, on_square
from t2s_pipeline.pseudo_labels.labellings import recorded
from t2s_pipeline.pseudo_labels.table import read_labels
from t2s_pipeline.segmenters.embedding import Embedding
from t2s_pipeline.segmenters.load import kept_segmenter
from t2s_pipeline.segmenters.registry import find_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import FULL_SIDE, Frame, PromptObject

COMBINATIONS = ("bbox", "pos2", "bbox+pos2", "bbox+pos4", "bbox+pos2+neg2")
"""The prompt combinations of the paper's Table 6."""
SAMPLES_PER_WINDOW = 32
"""Samples that are staged together. They are lost together if the process dies."""
SQUARE = Frame.square(FULL_SIDE)
MOST_SEARCHED = 1024 * 1024
"""Pixels. In a larger image the search counts its overlap on the square."""
GOOD_ENOUGH = 0.95
"""If labels have a higher IoU, the search does not look for better prompts."""

Mask = NDArray[np.bool_]
Row = dict[str, Any]
"""A row of ``samples`` or ``label_quality``."""


@dataclass(frozen=True)
class _SegmentedPrompts:
    """Prompts for one sample, and the segmenter's mask for them at native size, bool (H, W)."""

    method: str
    combination: str
    prompts: tuple[PromptObject, ...]
    mask: Mask


def judge_labels(
    home: Path,
    segmenter_name: str,
    dataset: str,
    split: str,
    fingerprint: str,
    progress: Progress,
    team: Team = ON_CPU,
    rounds: int = 1,
    wide: bool = False,
) -> None:
    """Write a split's partitions of ``label_quality``: one per method, and one for the search.

    Args:
        home: T2S_HOME.
        segmenter_name: the segmenter that gets the labels.
        dataset: key of the dataset.
        split: of the dataset.
        fingerprint: of the step; it is written into the partitions.
        progress: receives the number of samples.
        team: who does the windows.
        rounds: of the search. 0 leaves the search out, and then its partition is empty.
        wide: also judge rotated boxes, chains, and the best kind per object (``evaluation.kinds``).

    Raises:
        NotMaterializedError: if images, samples or labels of the split are not in the lake.
    """
    lake, split_partition = Settings.of_worker(home).lake, {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, split_partition, ["sample_id", "image_id"])
    items = {sample_id: [Item(sample_id, 0, "")] for sample_id in samples["sample_id"].to_pylist()}
    windows = plan(lake, split_partition, by_image(samples, items), SAMPLES_PER_WINDOW)
    segmenter, _ = find_segmenter(segmenter_name)
    partitions = [
        {"method": method, "segmenter": segmenter.name, **split_partition}
        for method in (*methods_with_labels(), SEARCH)
    ]
    staged = StagedWindows(lake, LABEL_QUALITY, partitions, windows, fingerprint)
    what = f"{segmenter.name} segments the labels of {dataset}-{split}:"
    staged.finish(what, _JudgedWindows(segmenter_name, Split.now(lake, dataset, split), rounds, wide), team, progress)


@dataclass(frozen=True)
class _JudgedWindows:
    """The workload of judging labels."""

    segmenter_name: str
    split: Split
    rounds: int
    wide: bool

    def open(self, device: str) -> Callable[[Window], list[pa.Table]]:
        """Load the segmenter and the labels; the function judges the labels of a window, one table per method."""
        lake, partition = self.split.lake, self.split.partition
        rows = read_partition(lake, SAMPLES, partition, ["sample_id", "image_id", "mask"]).to_pylist()
        samples = {row["sample_id"]: row for row in rows}
        methods = methods_with_labels()
        labels = {name: read_labels(lake, method.labels, partition) for name, method in methods.items()}
        labellings = {name: _labelling(lake, method.labels, partition) for name, method in methods.items()}
        segmenter, images = kept_segmenter(self.segmenter_name, device), self.split.open()

        def judge(window: Window) -> list[pa.Table]:
            judged: dict[str, list[Row]] = {method: [] for method in (*methods, SEARCH)}
            for image, items in zip(images(window), window.values(), strict=True):
                embedding = segmenter.encode(image)
                for sample_id in (item.sample_id for item in items):
                    sample_labels = {method: labels[method].get(sample_id, ()) for method in methods}
                    wish = self.rounds, self.wide
                    for row in _judge(segmenter, embedding, samples[sample_id], sample_labels, labellings, wish):
                        judged[row.pop("method")].append(row)
            return [pa.Table.from_pylist(table, schema=LABEL_QUALITY.schema) for table in judged.values()]

        return judge


def _labelling(lake: LakePlace, method: str, partition: Partition) -> Labelling:
    """The labelling with the parameters that made the labels; with its default parameters if there is no label."""
    table = read_partition(lake, PSEUDO_LABELS, {"method": method, **partition}, ["parameters"])
    parameters = table["parameters"].unique()
    return recorded(method, json.loads(parameters[0].as_py()) if len(parameters) else {})


def _judge(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    sample: Row,
    labels: Mapping[str, Sequence[Label]],
    labellings: Mapping[str, Labelling],
    wish: tuple[int, bool],
) -> list[Row]:
    """The rows of a sample, each with its ``method``; ``wish``: rounds of the search, and ``wide``."""
    rounds, wide = wish
    truth = masks.decode(masks.Rle.from_arrow(sample["mask"]))
    square = on_square(truth, FULL_SIDE)
    results: list[_SegmentedPrompts] = []
    # Methods often split a mask into the same instances.
    by_instances: dict[tuple[bytes, ...], list[_SegmentedPrompts]] = {}
    for method in labels:
        inference = METHODS[method].recipe.inference
        label_prompts = inference.prompts(_as_prompts(labels[method]))
        results += _segment(segmenter, embedding, method, {method: label_prompts}, inference)
        instances = [on_square(instance, FULL_SIDE) for instance in labellings[method].instances(truth)]
        instances = [instance for instance in instances if instance.any()]
        key = tuple(instance.tobytes() for instance in instances)
        if key not in by_instances:
            prompts = ideal_prompts(instances, square, [PROMPT_COMBINATIONS[name] for name in COMBINATIONS])
            by_instances[key] = _segment(segmenter, embedding, method, prompts, Inference())
            if wide:
                more = wider_prompts(segmenter, embedding, instances, SQUARE, prompts)
                by_instances[key] += _segment(segmenter, embedding, method, more, Inference())
        results += [replace(item, method=method) for item in by_instances[key]]
    if rounds:
        results += _search(segmenter, embedding, results, truth, square, rounds, sample["sample_id"])
    return [_row(item, sample, truth) for item in results]


def _search(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    results: Sequence[_SegmentedPrompts],
    truth: Mask,
    square: Mask,
    rounds: int,
    sample_id: str,
) -> list[_SegmentedPrompts]:
    """The search's prompts per combination, or its start where that has the higher IoU at native size."""
    winners = []
    counted = truth if truth.size <= MOST_SEARCHED else square
    for number, name in enumerate(COMBINATIONS):
        candidates = [item for item in results if item.combination == name]
        start = max(candidates, key=lambda item: _iou(item.mask, truth))
        best = _SegmentedPrompts(SEARCH, name, start.prompts, start.mask)
        if start.prompts and truth.any() and _iou(start.mask, truth) < GOOD_ENOUGH:
            seed = (number, *sample_id.encode())
            prompts = improved(segmenter, embedding, start.prompts, counted, square, rounds, seed)
            [new] = _segment(segmenter, embedding, SEARCH, {name: prompts}, Inference())
            best = max(best, new, key=lambda item: _iou(item.mask, truth))
        winners.append(best)
    return winners


def _segment(
    segmenter: Sam2Segmenter,
    embedding: Embedding,
    method: str,
    prompts: Mapping[str, tuple[PromptObject, ...]],
    inference: Inference,
) -> list[_SegmentedPrompts]:
    """The masks of prompt sets, which are given by the name of their combination and decoded together."""
    segmented = segmenter.decode(embedding, list(prompts.values()), SQUARE, embedding.native, inference.multimask)
    return [
        _SegmentedPrompts(method, name, prompts[name], result.mask)
        for name, result in zip(prompts, segmented, strict=True)
    ]


def _as_prompts(labels: Sequence[Label]) -> tuple[PromptObject, ...]:
    return tuple(PromptObject(label.bbox, label.points) for label in labels)


def _iou(mask: Mask, truth: Mask) -> float:
    intersection, union = masks.intersection_union(mask, truth)
    return intersection / union if union else 1.0


def _combination_of(method: str) -> PromptCombination:
    """The prompt combination in which the prompter of a method answers."""
    return PROMPT_COMBINATIONS[METHODS[method].recipe.combination]


def _row(item: _SegmentedPrompts, sample: Row, truth: Mask) -> Row:
    intersection, union = masks.intersection_union(item.mask, truth)
    labels_themselves = item.combination == item.method
    # A perfect prompter that cannot answer "no target" must name one.
    must_name_one = labels_themselves and _combination_of(item.method).shape is Shape.ONE_OBJECT
    return {
        "method": item.method,
        "sample_id": sample["sample_id"],
        "image_id": sample["image_id"],
        "prompt_combination": item.combination,
        "objects": len(item.prompts),
        "gt_empty": not truth.any(),
        "prompts": prompts_to_arrow(item.prompts),
        "side": FULL_SIDE,
        "intersection": intersection,
        "union": union,
        "iou": 0.0 if must_name_one and not truth.any() else _iou(item.mask, truth),
        "mask": masks.encode(item.mask).as_arrow() if labels_themselves else None,
    }
