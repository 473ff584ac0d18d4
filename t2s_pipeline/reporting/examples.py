"""Worked examples like the paper's Figure 3: question, image, ground truth, and what each system made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.prompts import prompts_from_arrow
from t2s_pipeline.reporting.showcase import Pick
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.image_files import decode_image
from t2s_pipeline.vision.masks import Rle, decode
from t2s_pipeline.vision.panels import data_uri, panel

HEIGHT = 288
LONGEST_TEXT = 1500
"""Characters of model text that a page shows; the lake has the rest."""


@dataclass(frozen=True)
class View:
    """One picture of an example, with what is written under it. ``thought`` and ``answer`` are the model's words."""

    title: str
    picture: str
    verdict: str = ""
    good: bool | None = None
    thought: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Example:
    sample_id: str
    question: str
    category: str
    why: str
    group: str
    views: tuple[View, ...]


@dataclass(frozen=True)
class Reply:
    """What a system answered to one sample's first question, and what came of it."""

    status: str
    detail: str
    prompts: tuple[PromptObject, ...]
    side: int
    mask: np.ndarray | None
    """Boolean, native size."""
    iou: float | None
    text: str


def examples(lake: Path, dataset: str, split: str, picks: Sequence[Pick], systems: Sequence[str]) -> list[Example]:
    """An example for each pick whose image and sample the lake still holds, in the order of the picks."""
    part = {"dataset": dataset, "split": split}
    wanted = {pick.sample_id for pick in picks}
    columns = ["sample_id", "image_id", "category", "questions", "mask"]
    samples = first_rows(store.scan(lake, schema.SAMPLES, part, columns), "sample_id", wanted)
    pictures = first_rows(
        store.scan(lake, schema.IMAGES, part, ["image_id", "bytes"]),
        "image_id",
        {row["image_id"] for row in samples.values()},
    )
    replies = {system: _replies(lake, system, part, wanted) for system in systems}
    made = []
    for pick in picks:
        sample = samples.get(pick.sample_id)
        if sample is None or sample["image_id"] not in pictures:
            continue
        image = decode_image(pictures[sample["image_id"]]["bytes"])
        truth = decode(Rle.from_arrow(sample["mask"]))
        views = [
            View("Image", data_uri(panel(image, height=HEIGHT))),
            View(
                "Ground truth",
                data_uri(panel(image, truth=truth, height=HEIGHT)),
                "" if truth.any() else "no target in this image",
            ),
        ]
        views += [_view(system, image, truth, replies[system].get(pick.sample_id)) for system in systems]
        question = (sample["questions"] or [""])[0]
        made.append(Example(pick.sample_id, question, sample["category"] or "", pick.why, pick.group, tuple(views)))
    return made


def _view(system: str, image: np.ndarray, truth: np.ndarray, reply: Reply | None) -> View:
    if reply is None:
        return View(system, data_uri(panel(image, height=HEIGHT)), "no answer in the lake")
    drawn = panel(image, reply.prompts, Frame.square(reply.side), predicted=reply.mask, truth=truth, height=HEIGHT)
    thought = ""
    if "<think>" in reply.text:
        thought = reply.text.partition("<think>")[2].partition("</think>")[0].strip()
    good = None if reply.iou is None else reply.iou > 0.5
    return View(
        system, data_uri(drawn), _verdict(reply, bool(truth.any())), good, _clipped(thought), _clipped(reply.text)
    )


def _verdict(reply: Reply, has_target: bool) -> str:
    iou = "IoU not scored" if reply.iou is None else f"IoU {reply.iou:.2f}"
    if reply.status == "rejected":
        return f"says “no target”, {'wrongly' if has_target else 'rightly'} · {iou}"
    if reply.status == "ok" and not has_target:
        return f"mask where there is no target · {iou}"
    if reply.status == "ok":
        return iou
    detail = f" ({_clipped(reply.detail, 160)})" if reply.detail else ""
    return f"{reply.status.replace('_', ' ')}{detail} · {iou}"


def _replies(lake: Path, system: str, part: store.Partition, wanted: set[str]) -> dict[str, Reply]:
    """By sample. Of a checkpoint segmented by several segmenters, the first by name is shown."""
    of_system = {"system": system, **part}
    homes = [p for p in store.list_partitions(lake, schema.PREDICTIONS) if of_system.items() <= p.items()]
    if not homes:
        return {}
    columns = ["sample_id", "question_index", "status", "detail", "prompts", "side", "mask"]
    batches = store.scan(lake, schema.PREDICTIONS, homes[0], columns)
    predictions = first_rows(batches, "sample_id", wanted, first_question=True)
    texts, ious = {}, {}
    if of_system in store.list_partitions(lake, schema.COMPLETIONS):
        batches = store.scan(lake, schema.COMPLETIONS, of_system, ["sample_id", "question_index", "text"])
        texts = first_rows(batches, "sample_id", wanted, first_question=True)
    scored = {"system": system, **part, "protocol": "strict"}
    if scored in store.list_partitions(lake, schema.SAMPLE_SCORES):
        batches = store.scan(lake, schema.SAMPLE_SCORES, scored, ["sample_id", "question_index", "iou"])
        ious = first_rows(batches, "sample_id", wanted, first_question=True)
    return {
        key: Reply(
            row["status"],
            row["detail"] or "",
            tuple(prompts_from_arrow(row["prompts"])),
            row["side"],
            None if row["mask"] is None else decode(Rle.from_arrow(row["mask"])),
            ious[key]["iou"] if key in ious else None,
            texts[key]["text"] if key in texts else "",
        )
        for key, row in predictions.items()
    }


def first_rows(batches, key: str, wanted: set[str], first_question: bool = False) -> dict[str, dict]:
    """The rows whose key is wanted, by key, and nothing read beyond the last of them."""
    found: dict[str, dict] = {}
    for batch in batches:
        names = batch.column(key).to_pylist()
        index = batch.column("question_index").to_pylist() if first_question else None
        for place, name in enumerate(names):
            if name in wanted and name not in found and (index is None or index[place] == 0):
                found[name] = batch.slice(place, 1).to_pylist()[0]
        if len(found) == len(wanted):
            break
    return found


def _clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters in all)"
