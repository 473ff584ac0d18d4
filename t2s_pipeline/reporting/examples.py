"""Examples like the paper's Figure 3: question, image, ground truth, and the answer and mask of each system."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.prompts import prompts_from_arrow
from t2s_pipeline.lake.stored_images import StoredImages
from t2s_pipeline.reporting.rows import Row, first_rows
from t2s_pipeline.reporting.showcase import Pick
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.masks import Rle, decode
from t2s_pipeline.vision.panels import data_uri, panel
from t2s_pipeline.vision.pictures import decode_image

HEIGHT = 288
"""Of a picture, in pixels."""
BATCH_ROWS = 1024
"""The most rows with masks that are in memory at a time."""
LONGEST_TEXT = 1500
"""Characters of model text that the page shows. The lake has the rest."""


@dataclass(frozen=True)
class View:
    """One picture of an example with the text below it. ``thought`` and ``answer`` are text of the model."""

    title: str
    picture: str
    """A ``data:`` address."""
    verdict: str = ""
    good: bool | None = None
    """Whether the IoU is above 0.5; None if there is no IoU."""
    thought: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Example:
    """A sample with its pictures. ``why`` says by which part of the rule it is shown."""

    sample_id: str
    question: str
    category: str
    why: str
    group: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class StoredAnswer:
    """A system's answer to a sample's first question, with its prompts, mask and score.

    Attributes:
        status: of the prediction.
        detail: the reason, if the status is not ok.
        prompts: in pixels of the square.
        side: of the square, in pixels.
        mask: bool (H, W) at native size; None if there is none.
        iou: under the strict protocol; None if it has not been scored.
        text: the completion; empty if it is not in the lake.
    """

    status: str
    detail: str
    prompts: tuple[PromptObject, ...]
    side: int
    mask: NDArray[np.bool_] | None
    iou: float | None
    text: str


def examples(lake: LakePlace, dataset: str, split: str, picks: Sequence[Pick], systems: Sequence[str]) -> list[Example]:
    """One example per pick whose image and sample are in the lake, in the order of the picks.

    Args:
        lake: where the tables are.
        dataset: key of the dataset.
        split: of the dataset.
        picks: the samples.
        systems: the systems whose answers are shown, in this order.
    """
    partition = {"dataset": dataset, "split": split}
    sample_ids = {pick.sample_id for pick in picks}
    columns = ["sample_id", "image_id", "category", "questions", "mask"]
    samples = first_rows(store.scan(lake, schema.SAMPLES, partition, columns, BATCH_ROWS), "sample_id", sample_ids)
    images = StoredImages(lake, partition)
    answers = {system: _answers(lake, system, partition, sample_ids) for system in systems}
    shown = []
    for pick in picks:
        sample = samples.get(pick.sample_id)
        if sample is None or sample["image_id"] not in images:
            continue
        (encoded,) = images.encoded([sample["image_id"]])
        image = decode_image(encoded)
        truth = decode(Rle.from_arrow(sample["mask"]))
        views = [
            View("Image", data_uri(panel(image, height=HEIGHT))),
            View(
                "Ground truth",
                data_uri(panel(image, truth=truth, height=HEIGHT)),
                "" if truth.any() else "no target in this image",
            ),
        ]
        views += [_view(system, image, truth, answers[system].get(pick.sample_id)) for system in systems]
        question = (sample["questions"] or [""])[0]
        shown.append(Example(pick.sample_id, question, sample["category"] or "", pick.why, pick.group, tuple(views)))
    return shown


def _view(system: str, image: NDArray[np.uint8], truth: NDArray[np.bool_], answer: StoredAnswer | None) -> View:
    if answer is None:
        return View(system, data_uri(panel(image, height=HEIGHT)), "no answer in the lake")
    square = Frame.square(answer.side)
    picture = panel(image, answer.prompts, square, predicted=answer.mask, truth=truth, height=HEIGHT)
    thought = ""
    if "<think>" in answer.text:
        thought = answer.text.partition("<think>")[2].partition("</think>")[0].strip()
    return View(
        system,
        data_uri(picture),
        verdict=_verdict(answer, bool(truth.any())),
        good=None if answer.iou is None else answer.iou > 0.5,
        thought=_clipped(thought),
        answer=_clipped(answer.text),
    )


def _verdict(answer: StoredAnswer, has_target: bool) -> str:
    iou = "IoU not scored" if answer.iou is None else f"IoU {answer.iou:.2f}"
    if answer.status == "rejected":
        return f"says “no target”, which is {'wrong' if has_target else 'right'} · {iou}"
    if answer.status == "ok" and not has_target:
        return f"mask where there is no target · {iou}"
    if answer.status == "ok":
        return iou
    detail = f" ({_clipped(answer.detail, 160)})" if answer.detail else ""
    return f"{answer.status.replace('_', ' ')}{detail} · {iou}"


def _answers(lake: LakePlace, system: str, partition: Partition, sample_ids: Set[str]) -> dict[str, StoredAnswer]:
    """The answers by sample. If several segmenters segmented the system, the first by name is shown."""
    of_system = {"system": system, **partition}
    segmented = [p for p in store.list_partitions(lake, schema.PREDICTIONS) if of_system.items() <= p.items()]
    if not segmented:
        return {}
    columns = ["sample_id", "question_index", "status", "detail", "prompts", "side", "mask"]
    batches = store.scan(lake, schema.PREDICTIONS, segmented[0], columns, BATCH_ROWS)
    predictions = first_rows(batches, "sample_id", sample_ids, first_question=True)
    texts: dict[str, Row] = {}
    ious: dict[str, Row] = {}
    if of_system in store.list_partitions(lake, schema.COMPLETIONS):
        batches = store.scan(lake, schema.COMPLETIONS, of_system, ["sample_id", "question_index", "text"])
        texts = first_rows(batches, "sample_id", sample_ids, first_question=True)
    scored = {**of_system, "protocol": "strict"}
    if scored in store.list_partitions(lake, schema.SAMPLE_SCORES):
        batches = store.scan(lake, schema.SAMPLE_SCORES, scored, ["sample_id", "question_index", "iou"])
        ious = first_rows(batches, "sample_id", sample_ids, first_question=True)
    return {
        key: StoredAnswer(
            status=row["status"],
            detail=row["detail"] or "",
            prompts=tuple(prompts_from_arrow(row["prompts"])),
            side=row["side"],
            mask=None if row["mask"] is None else decode(Rle.from_arrow(row["mask"])),
            iou=ious[key]["iou"] if key in ious else None,
            text=texts[key]["text"] if key in texts else "",
        )
        for key, row in predictions.items()
    }


def _clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters in total)"
