"""How far K sampled answers to one question agree: an uncertainty that needs no ground truth. Table ``agreement``.

The system answers each question K times at a temperature above 0. Each answer is parsed and segmented as in evaluation.
The agreement of two answers is the IoU of their masks at native size. It is 1 where both say that there is no target,
and 0 where one of them cannot be read. The agreement of a question is the mean over its K·(K−1)/2 pairs. Masks are not
kept.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.core.distribution.crew import ON_CPU, Team
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import published_rule
from t2s_pipeline.evaluation.segment import segment_texts
from t2s_pipeline.evaluation.windows import Item, Split, StagedWindows, Window, by_image, plan, questions_to_ask
from t2s_pipeline.lake.predictions import Prediction
from t2s_pipeline.lake.schema import AGREEMENT, SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.load import kept_answerer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.segmenters.load import kept_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.run_lengths import Runs

UNREAD = ("format_error", "error")
"""Statuses of answers without a mask. They agree with nothing."""

Images = Mapping[str, NDArray[np.uint8]]
"""Image → its pixels, uint8 (H, W, 3)."""


def measure_agreement(
    home: Path,
    system: System,
    dataset: str,
    split: str,
    sampling: Sampling,
    fingerprint: str,
    progress: Progress,
    team: Team = ON_CPU,
) -> int:
    """Write the partition of ``agreement`` and return the number of its rows, one per question.

    Args:
        home: T2S_HOME.
        system: the system that answers.
        dataset: key of the dataset.
        split: of the dataset.
        sampling: how often and at which temperature a question is answered.
        fingerprint: of the step; it is written into the partition.
        progress: receives the number of questions.
        team: who does the windows.

    Raises:
        NotMaterializedError: if the split's images or samples are not in the lake.
    """
    lake, partition = Settings.of_worker(home).lake, {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, partition, ["sample_id", "image_id", "questions"])
    questions = by_image(samples, questions_to_ask(samples, sampling.max_questions, published_rule(dataset)))
    windows = plan(lake, partition, questions, max(1, system.generation.batch_size // sampling.completions))
    staged = StagedWindows(lake, AGREEMENT, [{"system": system.name, **partition}], windows, fingerprint)
    what = f"{system.name} answers {dataset}-{split} {sampling.completions} times:"
    return staged.finish(what, _SampledWindows(system, sampling, Split.now(lake, dataset, split)), team, progress)


@dataclass(frozen=True)
class _SampledWindows:
    """The workload of a system that answers several times."""

    system: System
    sampling: Sampling
    split: Split

    def open(self, device: str) -> Callable[[Window], list[pa.Table]]:
        """Load both models; the function measures the agreement of the answers in a window."""
        sampler, images = _Sampler.load(self.system, self.sampling, device), self.split.open()
        return lambda window: [sampler.measure(window, dict(zip(window, images(window), strict=True)))]


@dataclass(frozen=True)
class _Sampler:
    """A system with its models loaded, and how it is sampled."""

    system: System
    sampling: Sampling
    generation: GenerationSettings
    prompter: Chat
    segmenter: Sam2Segmenter

    @classmethod
    def load(cls, system: System, sampling: Sampling, device: str) -> "_Sampler":
        generation = replace(system.generation, temperature=sampling.temperature)
        prompter = kept_answerer(system.prompter, generation, device, system.asking)
        return cls(system, sampling, generation, prompter, kept_segmenter(system.segmenter, device))

    def measure(self, window: Window, images: Images) -> pa.Table:
        """Rows of ``agreement`` for the questions of a window."""
        settings = json.dumps({"prompter_sha256": self.prompter.sha256, **asdict(self.sampling)}, sort_keys=True)
        texts = self._texts(window, images)
        count = self.sampling.completions
        rows = []
        for image_id, items in window.items():
            answers = [replace(item, text=text) for item in items for text in texts[item.key]]
            predictions = segment_texts(
                self.segmenter,
                images[image_id],
                answers,
                PROMPT_COMBINATIONS[self.system.combination],
                self.prompter.frame,
                self.prompter.answers,
                self.system.recipe.inference,
            )
            for place, item in enumerate(items):
                rows.append(_row(item, predictions[place * count : (place + 1) * count], texts[item.key], settings))
        return pa.Table.from_pylist(rows, schema=AGREEMENT.schema)

    def _texts(self, window: Window, images: Images) -> dict[tuple[str, int], list[str]]:
        """The K answers to each question, by its key.

        A question stands K times in the batch, so that its answers are sampled independently.
        """
        # Each window has its own seed. A stopped run that makes a window again uses the same seed for it.
        seed = _seed(self.sampling, window)
        squares = {image_id: np.asarray(self.prompter.square(image)) for image_id, image in images.items()}
        questions = [(item, squares[image_id]) for image_id, items in window.items() for item in items]
        repeated = [question for question in questions for _ in range(self.sampling.completions)]
        texts: dict[tuple[str, int], list[str]] = {item.key: [] for item, _ in questions}
        for start in range(0, len(repeated), self.generation.batch_size):
            batch = repeated[start : start + self.generation.batch_size]
            completions = self.prompter.answer(
                [square for _, square in batch],
                [item.text for item, _ in batch],
                PROMPT_COMBINATIONS[self.system.combination],
                replace(self.generation, seed=seed + start),
            )
            for (item, _), completion in zip(batch, completions, strict=True):
                texts[item.key].append(completion.text)
        return texts


def _seed(sampling: Sampling, window: Window) -> int:
    """A seed from the run's seed and the window's first question. It does not depend on where a run resumed."""
    first = next(iter(window.values()))[0]
    text = f"{sampling.seed}\n{first.sample_id}\n{first.question_index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _row(item: Item, answers: Sequence[Prediction], texts: Sequence[str], settings: str) -> dict[str, object]:
    statuses = [answer.status for answer in answers]
    return {
        "sample_id": item.sample_id,
        "question_index": item.question_index,
        "completions": len(answers),
        "agreement": mean_agreement(answers),
        "rejected": sum(status in ("rejected", "empty_mask") for status in statuses),
        "unread": sum(status in UNREAD for status in statuses),
        "texts": list(texts),
        "settings": settings,
    }


def mean_agreement(answers: Sequence[Prediction]) -> float:
    """The mean pairwise IoU of at least two answers to one question, from their masks at native size."""
    runs = [None if row.mask is None or row.status in UNREAD else Runs.of(row.mask) for row in answers]
    return float(np.mean([_iou(a, b) for a, b in combinations(runs, 2)]))


def _iou(a: Runs | None, b: Runs | None) -> float:
    if a is None or b is None:
        return 0.0
    intersection = a.intersection(b)
    union = a.area + b.area - intersection
    return intersection / union if union else 1.0
