"""One scene as three rival methods label it, the mask of SAM2 for each, and the highest scores that labels allow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.prompts import prompts_from_arrow
from t2s_pipeline.methods.registry import METHODS, methods_with_labels
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH
from t2s_pipeline.reporting.examples import HEIGHT, View
from t2s_pipeline.reporting.rows import Row, first_rows
from t2s_pipeline.vision.geometry import Frame
from t2s_pipeline.vision.masks import Rle, decode
from t2s_pipeline.vision.panels import data_uri, panel
from t2s_pipeline.vision.pictures import decode_image

SPLITS = ("test", "val", "train")
"""Splits in the order in which the section prefers them."""


@dataclass(frozen=True)
class Ceiling:
    """A method's mean IoU in percent by prompt combination; None where it was not judged."""

    name: str
    by_combination: list[float | None]


@dataclass(frozen=True)
class Labels:
    """The section of the page about labels. ``why`` says by which rule the scene is shown."""

    dataset: str
    split: str
    segmenter: str
    n: int
    combinations: list[str]
    ceilings: list[Ceiling]
    question: str
    why: str
    views: list[View]


def label_section(lake: LakePlace, dataset: str | None) -> Labels | None:
    """The section for the dataset's first split of ``SPLITS`` that has ``label_quality``, or for another dataset's.

    The scene is the one in which the masks of the three methods' own prompts differ most: the largest gap between two
    IoUs, and of several the first by id. So it shows where labels differ, and not a typical case.

    Args:
        lake: where the tables are.
        dataset: the preferred dataset.

    Returns:
        The section, or None if there is no ``label_quality``.
    """
    methods = list(methods_with_labels())
    partitions = store.list_partitions(lake, schema.LABEL_QUALITY)
    candidates = [p for p in partitions if p["method"] in methods and p["split"] in SPLITS]
    candidates.sort(key=lambda p: (p["dataset"] != dataset, SPLITS.index(p["split"])))
    if not candidates:
        return None
    judged = {key: candidates[0][key] for key in ("segmenter", "dataset", "split")}
    columns = ["sample_id", "image_id", "prompt_combination", "prompts", "side", "iou", "gt_empty"]
    rows: dict[str, list[Row]] = {
        method: store.read_partition(lake, schema.LABEL_QUALITY, {"method": method, **judged}, columns).to_pylist()
        for method in (*methods, SEARCH)
        if {"method": method, **judged} in partitions
    }
    label_rows = {
        method: {row["sample_id"]: row for row in rows.get(method, ()) if row["prompt_combination"] == method}
        for method in methods
    }
    shared = sorted(set.intersection(*map(set, label_rows.values())))
    targets = [sample_id for sample_id in shared if not label_rows[methods[0]][sample_id]["gt_empty"]]
    if not targets:
        return None

    def gap(sample_id: str) -> float:
        ious: list[float] = [label_rows[method][sample_id]["iou"] for method in methods]
        return max(ious) - min(ious)

    sample_id = max(targets, key=gap)
    combinations = list(dict.fromkeys(row["prompt_combination"] for row in rows.get(SEARCH, ())))
    question, views = _views(lake, judged, {method: label_rows[method][sample_id] for method in methods})
    return Labels(
        dataset=judged["dataset"],
        split=judged["split"],
        segmenter=judged["segmenter"],
        n=len(label_rows[methods[0]]),
        combinations=["as the method gives them", *combinations],
        ceilings=[_ceiling(method, method_rows, combinations) for method, method_rows in rows.items()],
        question=question,
        why=f"{sample_id}: of {len(targets)} targets, the one where the masks of the three labels differ most in IoU",
        views=views,
    )


def _ceiling(method: str, rows: list[Row], combinations: list[str]) -> Ceiling:
    def mean(name: str) -> float | None:
        ious = [row["iou"] for row in rows if row["prompt_combination"] == name]
        return 100 * sum(ious) / len(ious) if ious else None

    name = METHODS[method].title if method in METHODS else "best prompts found near the labels"
    return Ceiling(name, [mean(method), *map(mean, combinations)])


def _views(lake: LakePlace, judged: Partition, rows: dict[str, Row]) -> tuple[str, list[View]]:
    """The first question of the scene, and a picture of the ground truth and of each labelling.

    Args:
        lake: where the tables are.
        judged: segmenter, dataset and split.
        rows: of ``label_quality`` for the scene, by method.
    """
    partition = {"dataset": judged["dataset"], "split": judged["split"]}
    first = next(iter(rows.values()))
    samples = store.scan(lake, schema.SAMPLES, partition, ["sample_id", "questions", "mask"])
    sample = first_rows(samples, "sample_id", {first["sample_id"]})[first["sample_id"]]
    images = store.scan(lake, schema.IMAGES, partition, ["image_id", "bytes"])
    image = decode_image(first_rows(images, "image_id", {first["image_id"]})[first["image_id"]]["bytes"])
    truth = decode(Rle.from_arrow(sample["mask"]))
    views = [View("Ground truth", data_uri(panel(image, truth=truth, height=HEIGHT)))]
    for method, row in rows.items():
        mask = _mask(lake, {"method": method, **judged}, row["sample_id"], method)
        prompts = prompts_from_arrow(row["prompts"])
        picture = panel(image, prompts, Frame.square(row["side"]), predicted=mask, truth=truth, height=HEIGHT)
        count = f"{len(prompts)} label{'' if len(prompts) == 1 else 's'}"
        views.append(
            View(METHODS[method].title, data_uri(picture), f"{count} · IoU {row['iou']:.2f}", row["iou"] > 0.5)
        )
    return (sample["questions"] or [""])[0], views


def _mask(lake: LakePlace, partition: Partition, sample_id: str, combination: str) -> NDArray[np.bool_] | None:
    """The stored mask of a sample's labels, bool (H, W) at native size; None if there is none."""
    columns = ["sample_id", "prompt_combination", "mask"]
    for batch in store.scan(lake, schema.LABEL_QUALITY, partition, columns):
        for row in batch.to_pylist():
            if row["sample_id"] == sample_id and row["prompt_combination"] == combination and row["mask"] is not None:
                return decode(Rle.from_arrow(row["mask"]))
    return None
