"""A system answers every question of a split. The texts go to the table ``completions``.

Answers are staged per window and committed at the end. So a stopped run does only the windows that are missing, and
readers see all of a split's completions or none.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from t2s_pipeline.core.distribution.crew import ON_CPU, Team
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import published_rule
from t2s_pipeline.evaluation.second_look import Answering, second_look
from t2s_pipeline.evaluation.windows import Item, Split, StagedWindows, Window, by_image, plan, questions_to_ask
from t2s_pipeline.lake.schema import COMPLETIONS, SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.base import Completion
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.load import kept_answerer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS

BATCHES_PER_WINDOW = 4
"""Batches that are sorted by prompt length together. They are lost together if the process dies."""


def generate_completions(
    home: Path,
    system: System,
    dataset: str,
    split: str,
    fingerprint: str,
    progress: Progress,
    team: Team = ON_CPU,
    max_questions: int | None = None,
) -> int:
    """Write the partition of ``completions`` and return the number of its rows.

    Args:
        home: T2S_HOME.
        system: the system that answers.
        dataset: key of the dataset.
        split: of the dataset.
        fingerprint: of the step; it is written into the partition.
        progress: receives the number of answers, and at the end the tokens per second.
        team: who does the windows.
        max_questions: the most questions of a sample that are asked, in the order of the dataset's published rule
            (datasets/question_choice.py). None asks all; the strict protocol needs all.

    Raises:
        NotMaterializedError: if the split's images or samples are not in the lake.
    """
    lake, partition = Settings.of_worker(home).lake, {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, partition, ["sample_id", "image_id", "questions"])
    questions = by_image(samples, questions_to_ask(samples, max_questions, published_rule(dataset)))
    windows = plan(lake, partition, questions, system.generation.batch_size * BATCHES_PER_WINDOW)
    staged = StagedWindows(lake, COMPLETIONS, [{"system": system.name, **partition}], windows, fingerprint)
    answering = _AnsweredWindows(system, Split.now(lake, dataset, split), max_questions)
    tokens, start = 0, time.perf_counter()

    def count(tables: Sequence[pa.Table]) -> None:
        nonlocal tokens
        tokens += pc.sum(tables[0]["tokens"]).as_py() or 0

    rows = staged.finish(f"{system.name} answers {dataset}-{split}:", answering, team, progress, count)
    if tokens:
        seconds = time.perf_counter() - start
        progress.result(tokens=tokens, seconds=seconds, tokens_per_second=tokens / seconds)
    return rows


@dataclass(frozen=True)
class _AnsweredWindows:
    """The workload of a system that answers."""

    system: System
    split: Split
    max_questions: int | None

    def open(self, device: str) -> Callable[[Window], list[pa.Table]]:
        """Load the prompter; the function answers the questions of a window."""
        system = self.system
        prompter = kept_answerer(system.prompter, system.generation, device, system.asking)
        settings, images = _settings(prompter, system, self.max_questions), self.split.open()
        answering: Answering = second_look(prompter, system, device) if system.recipe.turns == 2 else prompter

        def answer(window: Window) -> list[pa.Table]:
            return [_table(_answer(prompter, answering, system, window, images(window)), settings)]

        return answer


def _answer(
    prompter: Chat, answering: Answering, system: System, window: Window, images: Iterator[NDArray[np.uint8]]
) -> list[tuple[Item, Completion]]:
    """The answers to a window's questions, the longest question first: a batch of them needs little padding."""
    # Only squares are kept: a window holds dozens of images, and a native one can have 58 million pixels.
    squares = {image_id: np.asarray(prompter.square(next(images))) for image_id in window}
    questions = [(item, squares[image_id]) for image_id, items in window.items() for item in items]
    questions.sort(key=lambda pair: -len(pair[0].text))
    completions = answering.answer(
        [pixels for _, pixels in questions],
        [item.text for item, _ in questions],
        PROMPT_COMBINATIONS[system.combination],
        system.generation,
    )
    return [(item, completion) for (item, _), completion in zip(questions, completions, strict=True)]


def _settings(prompter: Chat, system: System, max_questions: int | None) -> str:
    """The settings that determine the answers, as JSON. Segmentation reads the sides and the combination from it."""
    return json.dumps(
        {
            "prompter": prompter.name,
            "prompter_sha256": prompter.sha256,
            "side": prompter.frame.width,
            "answer_side": prompter.answers.width,
            "instruction_sha256": prompter.words(PROMPT_COMBINATIONS[system.combination]).sha256,
            "resampling": prompter.asking.resampling,
            "schema": system.combination,
            "max_questions": max_questions,
            **asdict(system.generation),
            **({"turns": system.recipe.turns} if system.recipe.turns > 1 else {}),
        },
        sort_keys=True,
    )


def _table(rows: list[tuple[Item, Completion]], settings: str) -> pa.Table:
    """The rows as a table of ``COMPLETIONS``."""
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
