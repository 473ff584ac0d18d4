"""How far K sampled answers to one question agree: an uncertainty that needs no truth. Goes to ``agreement``.  [torch]

The system answers each question K times at a temperature above 0. Each answer is parsed and drawn as in evaluation;
the agreement of two is the IoU of their masks at native size, 1 where both say that there is no target, 0 where one of
them cannot be read. A question's agreement is the mean over its K·(K−1)/2 pairs. Masks are not kept.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.datasets.question_choice import asked_questions
from t2s_pipeline.datasets.registry import published_rule
from t2s_pipeline.evaluation.segment import segment_texts
from t2s_pipeline.evaluation.windows import Item, Window, by_image, decoded, pending, plan
from t2s_pipeline.lake.schema import AGREEMENT, SAMPLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.load import load_answerer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.run_lengths import Runs

UNREAD = ("format_error", "error")


def measure_agreement(
    home: Path,
    system: System,
    dataset: str,
    split: str,
    sampling: Sampling,
    fingerprint: str,
    progress: Progress,
    device: str = "cpu",
) -> int:
    """Write the partition of ``agreement`` and return its rows, one a question.

    Raises:
        NotMaterializedError: if the split's images or samples are not in the lake.
    """
    lake, where = home / "lake", {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, where, ["sample_id", "image_id", "questions"])
    asked, rule = {}, published_rule(dataset)
    for row in samples.select(["sample_id", "questions"]).to_pylist():
        chosen = asked_questions(row["sample_id"], len(row["questions"]), sampling.max_questions, rule)
        asked[row["sample_id"]] = [Item(row["sample_id"], index, row["questions"][index]) for index in chosen]
    grouped = by_image(samples, {key: items for key, items in asked.items() if items})
    windows = plan(lake, where, grouped, max(1, system.generation.batch_size // sampling.completions))
    staged = StagedPartition(lake, AGREEMENT, {"system": system.name, **where}, fingerprint)
    left = pending(windows, staged.keys(["sample_id", "question_index"]))
    total = sum(len(items) for window in windows for items in window.values())
    done = total - sum(len(items) for window in left for items in window.values())
    progress.start(f"{system.name} answers {dataset}-{split} {sampling.completions} times:", total, done)
    if left:
        generation = replace(system.generation, temperature=sampling.temperature)
        prompter = load_answerer(system.prompter, generation, device, system.recipe.coordinates)
        segmenter = load_segmenter(system.segmenter, device)
        told = json.dumps({"prompter_sha256": prompter.sha256, **asdict(sampling)}, sort_keys=True)
        images = decoded(lake, where, left)
        for number, window in enumerate(left):
            pixels = {image_id: next(images) for image_id in window}
            # A seed of its own for each window, and the same one if a stopped run makes the window again.
            texts = _drawn(
                prompter, system, window, pixels, sampling, replace(generation, seed=_seed(sampling, window))
            )
            rows = []
            for image_id, items in window.items():
                answers = [
                    Item(item.sample_id, item.question_index, text) for item in items for text in texts[item.key]
                ]
                drawn = segment_texts(
                    segmenter, pixels[image_id], answers, PROMPT_COMBINATIONS[system.combination],
                    prompter.frame, prompter.answers, system.recipe.inference,
                )  # fmt: skip
                for place, item in enumerate(items):
                    own = drawn[place * sampling.completions : (place + 1) * sampling.completions]
                    rows.append(_row(item, own, texts[item.key], told))
            staged.append(pa.Table.from_pylist(rows, schema=AGREEMENT.schema))
            done += len(rows)
            progress.advance(done, f"window {number + 1} of {len(left)}")
    return staged.commit()


def _seed(sampling: Sampling, window: Window) -> int:
    """From the run's seed and the window's first question, so that it does not depend on where a run resumed."""
    first = next(iter(window.values()))[0]
    told = f"{sampling.seed}\n{first.sample_id}\n{first.question_index}"
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:4], "big")


def _drawn(prompter, system: System, window: Window, pixels, sampling: Sampling, generation) -> dict:
    """Each question's K answers, by its key. A question stands in the batch K times, so its draws are independent."""
    squares = {image_id: np.asarray(prompter.square(image)) for image_id, image in pixels.items()}
    asked = [(item, squares[image_id]) for image_id, items in window.items() for item in items]
    repeated = [pair for pair in asked for _ in range(sampling.completions)]
    texts: dict[tuple[str, int], list[str]] = {item.key: [] for item, _ in asked}
    for start in range(0, len(repeated), generation.batch_size):
        batch = repeated[start : start + generation.batch_size]
        settings = replace(generation, seed=generation.seed + start)
        completions = prompter.answer(
            [square for _, square in batch],
            [item.text for item, _ in batch],
            PROMPT_COMBINATIONS[system.combination],
            settings,
        )
        for (item, _), completion in zip(batch, completions, strict=True):
            texts[item.key].append(completion.text)
    return texts


def _row(item: Item, drawn: Sequence[dict], texts: Sequence[str], settings: str) -> dict:
    statuses = [row["status"] for row in drawn]
    return {
        "sample_id": item.sample_id,
        "question_index": item.question_index,
        "completions": len(drawn),
        "agreement": mean_agreement(drawn),
        "rejected": sum(status in ("rejected", "empty_mask") for status in statuses),
        "unread": sum(status in UNREAD for status in statuses),
        "texts": list(texts),
        "settings": settings,
    }


def mean_agreement(drawn: Sequence[dict]) -> float:
    """Mean pairwise IoU of rows of ``predictions``, which have a status and a native mask."""
    runs = [None if row["status"] in UNREAD else Runs.of(Rle.from_arrow(row["mask"])) for row in drawn]
    return float(np.mean([_iou(a, b) for a, b in combinations(runs, 2)]))


def _iou(a: Runs | None, b: Runs | None) -> float:
    if a is None or b is None:
        return 0.0
    shared = a.intersection(b)
    union = a.area + b.area - shared
    return shared / union if union else 1.0
