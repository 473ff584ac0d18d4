"""A system answers every question of a split; the texts go to ``completions``.  [torch]

Images stream past once. Answers are staged a window at a time and committed at the end, so a stopped run goes
on where it stopped and readers see all of a split's completions or none.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.datasets.question_choice import asked_questions
from t2s_pipeline.datasets.registry import published_rule
from t2s_pipeline.evaluation.windows import Item, Window, by_image, decoded, pending, plan
from t2s_pipeline.lake.schema import COMPLETIONS, SAMPLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.base import Completion
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.load import load_answerer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS

BATCHES_PER_WINDOW = 4
"""Batches that are sorted by prompt length together, and lost together if the process dies."""


def generate_completions(
    home: Path,
    system: System,
    dataset: str,
    split: str,
    fingerprint: str,
    progress: Progress,
    device: str = "cpu",
    max_questions: int | None = None,
) -> int:
    """Write the partition of ``completions`` and return its rows.

    Args:
        max_questions: ask at most so many of a sample's questions, in the order of the dataset's rule;
            None asks all, which is what the strict protocol means.

    Raises:
        NotMaterializedError: if the split's images or samples are not in the lake.
    """
    lake, where = home / "lake", {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, where, ["sample_id", "image_id", "questions"])
    asked = by_image(samples, _questions(samples, max_questions, published_rule(dataset)))
    windows = plan(lake, where, asked, system.generation.batch_size * BATCHES_PER_WINDOW)
    staged = StagedPartition(lake, COMPLETIONS, {"system": system.name, **where}, fingerprint)
    left = pending(windows, staged.keys(["sample_id", "question_index"]))
    total = _count(windows)
    done = total - _count(left)
    progress.start(f"{system.name} answers {dataset}-{split}:", total, done)
    if left:
        prompter = load_answerer(system.prompter, system.generation, device, system.recipe.coordinates)
        settings = _settings(prompter, system, max_questions)
        images = decoded(lake, where, left)
        tokens, begun = 0, time.perf_counter()
        for window in left:
            rows: list[tuple[Item, Completion]] = []
            for batch in _answered(prompter, system, window, images):
                rows += batch
                progress.advance(done + len(rows))
            staged.append(_table(rows, settings))
            done += len(rows)
            tokens += sum(completion.tokens for _, completion in rows)
        seconds = time.perf_counter() - begun
        progress.result(tokens=tokens, seconds=seconds, tokens_per_second=tokens / seconds)
    return staged.commit()


def _questions(samples: pa.Table, max_questions: int | None, rule: str) -> dict[str, list[Item]]:
    """What is asked, by sample."""
    asked = {}
    for sample_id, questions in zip(samples["sample_id"].to_pylist(), samples["questions"].to_pylist(), strict=True):
        chosen = asked_questions(sample_id, len(questions), max_questions, rule)
        if chosen:
            asked[sample_id] = [Item(sample_id, index, questions[index]) for index in chosen]
    return asked


def _answered(
    prompter: Chat, system: System, window: Window, images: Iterator[np.ndarray]
) -> Iterator[list[tuple[Item, Completion]]]:
    """A window's questions in batches, longest first, so that a batch pads little and memory peaks at once."""
    # Only squares are kept: a window holds dozens of images, and a native one can have 58 million pixels.
    squares = {image_id: np.asarray(prompter.square(next(images))) for image_id in window}
    asked = [(item, squares[image_id]) for image_id, items in window.items() for item in items]
    asked.sort(key=lambda pair: -len(pair[0].text))
    # vLLM makes its own batches, and better ones the more it is given.
    size = len(asked) if system.generation.backend == "vllm" else system.generation.batch_size
    for start in range(0, len(asked), size):
        items, pixels = zip(*asked[start : start + size], strict=True)
        questions = [item.text for item in items]
        completions = prompter.answer(pixels, questions, PROMPT_COMBINATIONS[system.combination], system.generation)
        yield list(zip(items, completions, strict=True))


def _settings(prompter: Chat, system: System, max_questions: int | None) -> str:
    """What shaped the answers, as JSON; segmentation reads sides and schema back from it."""
    return json.dumps(
        {
            "prompter": prompter.name,
            "prompter_sha256": prompter.sha256,
            "side": prompter.frame.width,
            "answer_side": prompter.answers.width,
            "schema": system.combination,
            "max_questions": max_questions,
            **asdict(system.generation),
        },
        sort_keys=True,
    )


def _table(rows: list[tuple[Item, Completion]], settings: str) -> pa.Table:
    return pa.table(
        {
            "sample_id": [item.sample_id for item, _ in rows],
            "question_index": [item.question_index for item, _ in rows],
            "text": [completion.text for _, completion in rows],
            "tokens": [completion.tokens for _, completion in rows],
            "finish_reason": [completion.finish_reason for _, completion in rows],
            "seconds": [completion.seconds for _, completion in rows],
            "settings": [settings] * len(rows),
        },
        schema=COMPLETIONS.schema,
    )


def _count(windows: list[Window]) -> int:
    return sum(len(items) for window in windows for items in window.values())
