"""The answers of a system become masks, in the table ``predictions``.

An image is encoded once, and all answers about it are decoded together. This module does not score an answer. An answer
that cannot be read, or that we fail to segment, gets a status and its reason, and the run continues.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from t2s_pipeline.core.distribution.crew import ON_CPU, Team
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.evaluation.windows import Item, Split, StagedWindows, Window, by_image, plan
from t2s_pipeline.lake.predictions import Prediction, predictions_table
from t2s_pipeline.lake.schema import COMPLETIONS, PREDICTIONS, SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination
from t2s_pipeline.prompting.lax import Readings, parse_both
from t2s_pipeline.prompting.parsing import Answer, FormatError
from t2s_pipeline.segmenters.embedding import EmbeddingCache
from t2s_pipeline.segmenters.load import kept_segmenter
from t2s_pipeline.segmenters.negatives import with_mined_negatives
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.masks import Rle, encode

ANSWERS_PER_WINDOW = 256
"""Answers that are staged together. They are lost together if the process dies."""

OUR_FAILURES = (InputError, RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError)
"""The errors that a segmenter can raise for one answer. The out-of-memory error of torch is a RuntimeError."""


def segment_completions(
    home: Path,
    system: System,
    dataset: str,
    split: str,
    fingerprint: str,
    progress: Progress,
    team: Team = ON_CPU,
) -> int:
    """Write the partition of ``predictions`` and return the number of its rows.

    Args:
        home: T2S_HOME.
        system: the system whose completions are segmented.
        dataset: key of the dataset.
        split: of the dataset.
        fingerprint: of the step; it is written into the partition.
        progress: receives the number of segmented answers.
        team: who does the windows.

    Raises:
        NotMaterializedError: if the split's images, samples or the system's completions are not in the lake.
        InputError: if the completions were made under different settings.
    """
    lake, partition = Settings.of_worker(home).lake, {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, partition, ["sample_id", "image_id"])
    answers = read_partition(lake, COMPLETIONS, {"system": system.name, **partition})
    frames_and_combination = _frames_and_combination(answers)
    windows = plan(lake, partition, by_image(samples, _texts(answers)), ANSWERS_PER_WINDOW)
    target = {"system": system.name, "segmenter": system.segmenter_name, **partition}
    staged = StagedWindows(lake, PREDICTIONS, [target], windows, fingerprint)
    segmenting = _SegmentedWindows(home, system, Split.now(lake, dataset, split), *frames_and_combination)
    failures: Counter[str | None] = Counter()

    def count(tables: Sequence[pa.Table]) -> None:
        rows = tables[0].select(["status", "detail"]).to_pylist()
        failures.update(row["detail"] for row in rows if row["status"] == "error")

    what = f"{system.segmenter} segments {system.name} on {dataset}-{split}:"
    rows = staged.finish(what, segmenting, team, progress, count)
    if failures:
        reason, _ = failures.most_common(1)[0]
        progress.say(f"{failures.total()} answers could not be segmented, most often: {reason}", warning=True)
    return rows


@dataclass(frozen=True)
class _SegmentedWindows:
    """The workload of a system whose answers become masks."""

    home: Path
    system: System
    split: Split
    square: Frame
    written: Frame
    combination: PromptCombination

    def open(self, device: str) -> Callable[[Window], list[pa.Table]]:
        """Load the segmenter; the function segments the answers of a window."""
        segmenter = kept_segmenter(self.system.segmenter, device, EmbeddingCache.under(self.home))
        images, frames = self.split.open(), (self.square, self.written)

        def segment(window: Window) -> list[pa.Table]:
            rows: list[Prediction] = []
            for image, items in zip(images(window), window.values(), strict=True):
                inference = self.system.recipe.inference
                rows += segment_texts(segmenter, image, items, self.combination, *frames, inference)
            return [predictions_table(rows)]

        return segment


def _frames_and_combination(answers: pa.Table) -> tuple[Frame, Frame, PromptCombination]:
    """The prompter's square, the frame of its coordinates, and its prompt combination, as generation recorded them."""
    recorded = answers["settings"].unique().to_pylist()
    if len(recorded) != 1:
        raise InputError(
            f"These completions were made under {len(recorded)} different settings: generate them again, as one."
        )
    settings = json.loads(recorded[0])
    written = settings.get("answer_side", settings["side"])
    return Frame.square(settings["side"]), Frame.square(written), PROMPT_COMBINATIONS[settings["schema"]]


def _texts(answers: pa.Table) -> dict[str, list[Item]]:
    """The completions, by sample."""
    texts: dict[str, list[Item]] = {}
    columns = (answers[name].to_pylist() for name in ("sample_id", "question_index", "text"))
    for sample_id, index, text in zip(*columns, strict=True):
        texts.setdefault(sample_id, []).append(Item(sample_id, index, text))
    return texts


@dataclass(frozen=True)
class _SegmentedAnswer:
    """What the segmenter made of the objects of one answer."""

    status: str
    detail: str | None = None
    mask: Rle | None = None
    square_mask: Rle | None = None
    scores: tuple[float, ...] | None = None


def segment_texts(
    segmenter: Sam2Segmenter,
    image: NDArray[np.uint8],
    items: Sequence[Item],
    combination: PromptCombination,
    square: Frame,
    written: Frame,
    inference: Inference,
) -> list[Prediction]:
    """Parse and segment answers about one image; one row per answer, in their order.

    Args:
        segmenter: the segmenter.
        image: uint8 (H, W, 3).
        items: the answers.
        combination: the prompt combination that they are written in.
        square: the frame of the rows' prompts and square masks.
        written: the frame that the answers' coordinates are pixels of.
        inference: how the segmenter is asked for the objects.
    """
    native = Frame(width=image.shape[1], height=image.shape[0])
    readings = [_moved(parse_both(item.text, combination, written), written, square) for item in items]
    # By identity: what the two parsers read alike is one object, and it is segmented once.
    distinct = {id(answer): answer for reading in readings for answer in (reading.strict, reading.lax)}
    asked = [answer for answer in distinct.values() if isinstance(answer, Answer) and answer.objects]
    prompt_sets = [inference.prompts(answer.objects) for answer in asked]
    segmented = _segment_all(segmenter, image, prompt_sets, (square, native), inference)
    results = {id(answer): result for answer, result in zip(asked, segmented, strict=True)}

    def result_of(answer: Answer | FormatError) -> _SegmentedAnswer:
        if isinstance(answer, FormatError):
            return _SegmentedAnswer("format_error", f"{answer.reason}: {answer.detail}")
        return results[id(answer)] if answer.objects else _rejection(native, square)

    return [
        _prediction(item, reading.strict, result_of(reading.strict), result_of(reading.lax), square.width)
        for item, reading in zip(items, readings, strict=True)
    ]


def _moved(readings: Readings, source: Frame, target: Frame) -> Readings:
    """The readings with their coordinates in another frame. Where both are one object, they stay one object."""
    strict = readings.strict.moved(source, target)
    return Readings(strict, strict if readings.lax is readings.strict else readings.lax.moved(source, target))


def _rejection(native: Frame, square: Frame) -> _SegmentedAnswer:
    """The result for an answer that says that there is no target: empty masks, without asking the segmenter."""
    return _SegmentedAnswer("rejected", mask=_empty(native), square_mask=_empty(square), scores=())


def _prediction(
    item: Item, strict: Answer | FormatError, native: _SegmentedAnswer, square: _SegmentedAnswer, side: int
) -> Prediction:
    """The row of an answer.

    Args:
        item: the answer.
        strict: what the training parser reads in it.
        native: what the segmenter made of that; the strict protocol scores it at native size.
        square: what the segmenter made of the reading of the reference protocol, which scores it at the square.
        side: of the square.
    """
    answer = strict if isinstance(strict, Answer) else None
    return Prediction(
        sample_id=item.sample_id,
        question_index=item.question_index,
        side=side,
        status=native.status,
        detail=native.detail,
        repaired=answer is not None and answer.repaired,
        prompts=None if answer is None else answer.objects,
        mask=native.mask,
        square_mask=square.square_mask,
        square_status=None if square.status == native.status else square.status,
        scores=native.scores,
    )


def _segment_all(
    segmenter: Sam2Segmenter,
    image: NDArray[np.uint8],
    prompt_sets: Sequence[Sequence[PromptObject]],
    frames: tuple[Frame, Frame],
    inference: Inference,
) -> list[_SegmentedAnswer]:
    """The result of each prompt set. If segmenting them together fails, each is tried alone.

    Args:
        segmenter: the segmenter.
        image: uint8 (H, W, 3).
        prompt_sets: the objects of each answer, in pixels of the square.
        frames: the square and the native frame; each result has a mask in both.
        inference: how the segmenter is asked for the objects.
    """
    if not prompt_sets:
        return []
    try:
        return _segment(segmenter, image, prompt_sets, frames, inference)
    except OUR_FAILURES as fault:
        if len(prompt_sets) == 1:
            return [_SegmentedAnswer("error", f"{type(fault).__name__}: {fault}"[:500])]
    return [result for item in prompt_sets for result in _segment_all(segmenter, image, [item], frames, inference)]


def _segment(
    segmenter: Sam2Segmenter,
    image: NDArray[np.uint8],
    prompt_sets: Sequence[Sequence[PromptObject]],
    frames: tuple[Frame, Frame],
    inference: Inference,
) -> list[_SegmentedAnswer]:
    """The result of each prompt set, segmented together. Arguments are those of ``_segment_all``."""
    square, native = frames
    embedding = segmenter.encode(image)
    if inference.negatives:
        more = inference.negatives
        prompt_sets = with_mined_negatives(segmenter, embedding, prompt_sets, square, more, inference.multimask)
    results = []
    for segmented in segmenter.segment(embedding, prompt_sets, square, (native, square), inference.multimask):
        mask, square_mask = segmented.masks
        status, detail = "ok", None
        if not mask.area:
            status, detail = "empty_mask", "the segmenter returned an empty mask for these prompts"
        results.append(_SegmentedAnswer(status, detail, mask, square_mask, segmented.scores))
    return results


def _empty(frame: Frame) -> Rle:
    """A mask without target pixels."""
    return encode(np.zeros((frame.height, frame.width), bool))
