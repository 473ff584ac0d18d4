"""A system's answers become masks; they go to ``predictions``.  [torch]

An image is encoded once and all answers about it are decoded together. What an answer is worth is not decided
here: an answer that cannot be read, or that we fail to draw, gets a status and its reason, and the run goes on.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.evaluation.windows import Item, by_image, decoded, pending, plan
from t2s_pipeline.lake.prompts import prompts_to_arrow
from t2s_pipeline.lake.schema import COMPLETIONS, PREDICTIONS, SAMPLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination
from t2s_pipeline.prompting.lax import parse_both
from t2s_pipeline.prompting.parsing import Answer, FormatError
from t2s_pipeline.segmenters.embedding import EmbeddingCache
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject

ANSWERS_PER_WINDOW = 256
"""Answers staged together, and lost together if the process dies."""

OUR_FAILURES = (InputError, RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError)
"""What a segmenter can raise on one answer; torch's out-of-memory error is a RuntimeError."""


def segment_completions(
    home: Path,
    system: System,
    dataset: str,
    split: str,
    fingerprint: str,
    progress: Progress,
    device: str = "cpu",
) -> int:
    """Write the partition of ``predictions`` and return its rows.

    Raises:
        NotMaterializedError: if the split's images, samples or the system's completions are not in the lake.
        InputError: if the completions were made under different settings.
    """
    lake, where = home / "lake", {"dataset": dataset, "split": split}
    samples = read_partition(lake, SAMPLES, where, ["sample_id", "image_id"])
    answers = read_partition(lake, COMPLETIONS, {"system": system.name, **where})
    (square, written, combination), inference = _how_asked(answers), system.recipe.inference
    windows = plan(lake, where, by_image(samples, _texts(answers)), ANSWERS_PER_WINDOW)
    partition = {"system": system.name, "segmenter": system.segmenter_name, **where}
    staged = StagedPartition(lake, PREDICTIONS, partition, fingerprint)
    left = pending(windows, staged.keys(["sample_id", "question_index"]))
    done = answers.num_rows - sum(len(items) for window in left for items in window.values())
    progress.start(f"{system.segmenter} draws {system.name} on {dataset}-{split}:", answers.num_rows, done)
    if left:
        segmenter = load_segmenter(system.segmenter, device, EmbeddingCache.under(home))
        images = decoded(lake, where, left)
        failed: Counter[str] = Counter()
        for window in left:
            rows: list[dict] = []
            for items in window.values():
                rows += segment_texts(segmenter, next(images), items, combination, square, written, inference)
                progress.advance(done + len(rows))
            staged.append(pa.Table.from_pylist(rows, schema=PREDICTIONS.schema))
            done += len(rows)
            failed.update(row["detail"] for row in rows if row["status"] == "error")
        if failed:
            reason, _ = failed.most_common(1)[0]
            progress.say(f"{failed.total()} answers could not be segmented, most often: {reason}", warning=True)
    return staged.commit()


def _how_asked(answers: pa.Table) -> tuple[Frame, Frame, PromptCombination]:
    """The prompter's square, the frame it wrote in and the combination it was asked in, as generation recorded them."""
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


def segment_texts(
    segmenter: Sam2Segmenter,
    image: np.ndarray,
    items: Sequence[Item],
    combination: PromptCombination,
    square: Frame,
    written: Frame,
    inference: Inference,
) -> list[dict]:
    """Rows of ``predictions``, one an answer about one image, uint8 (H, W, 3), in their order.

    Answers are in pixels of ``written``, rows in pixels of ``square``.
    """
    native = Frame(width=image.shape[1], height=image.shape[0])
    # The laxer parser reads whatever the training parser does, alike; what it reads beyond that counts at the square.
    readings = [parse_both(item.text, combination, written) for item in items]
    lax = [reading.lax.moved(written, square) for reading in readings]
    answered = [answer.objects for answer in lax if isinstance(answer, Answer) and answer.objects]
    prompt_sets = [inference.prompts(objects) for objects in answered]
    drawn = iter(_segment_all(segmenter, image, prompt_sets, square, (native, square), inference.multimask))
    rows = []
    for item, answer, reading in zip(items, lax, readings, strict=True):
        row = {"sample_id": item.sample_id, "question_index": item.question_index, "side": square.width}
        if isinstance(answer, FormatError):
            row |= _unread(answer)
        else:
            if answer.objects:
                read = {"prompts": prompts_to_arrow(answer.objects), **next(drawn)}
            else:
                read = {"status": "rejected", "prompts": [], "scores": []}
                read |= {"mask": _empty(native), "square_mask": _empty(square)}
            if isinstance(reading.strict, FormatError):
                row |= _unread(reading.strict)
                row |= {"square_status": read["status"], "square_mask": read.get("square_mask")}
            else:
                row |= {**read, "repaired": answer.repaired}
        rows.append(row)
    return rows


def _unread(fault: FormatError) -> dict:
    return {"status": "format_error", "detail": f"{fault.reason}: {fault.detail}", "repaired": False}


def _segment_all(
    segmenter: Sam2Segmenter,
    image: np.ndarray,
    prompt_sets: Sequence[Sequence[PromptObject]],
    source: Frame,
    outs: tuple[Frame, Frame],
    multimask: bool,
) -> list[dict]:
    """Status, masks and scores of each prompt set; if drawing them together fails, each is tried alone."""
    if not prompt_sets:
        return []
    try:
        return _segment(segmenter, image, prompt_sets, source, outs, multimask)
    except OUR_FAILURES as fault:
        if len(prompt_sets) == 1:
            return [{"status": "error", "detail": f"{type(fault).__name__}: {fault}"[:500]}]
    return [row for alone in prompt_sets for row in _segment_all(segmenter, image, [alone], source, outs, multimask)]


def _segment(
    segmenter: Sam2Segmenter,
    image: np.ndarray,
    prompt_sets: Sequence[Sequence[PromptObject]],
    source: Frame,
    outs: tuple[Frame, Frame],
    multimask: bool,
) -> list[dict]:
    embedding = segmenter.encode(image)
    rows = []
    for segmented in segmenter.segment(embedding, prompt_sets, source, outs, multimask):
        native, square = segmented.masks
        rows.append(
            {
                "status": "ok" if native.area else "empty_mask",
                "detail": None if native.area else "the segmenter returned an empty mask for these prompts",
                "mask": native.as_arrow(),
                "square_mask": square.as_arrow(),
                "scores": list(segmented.scores),
            }
        )
    return rows


def _empty(frame: Frame) -> dict:
    return masks.encode(np.zeros((frame.height, frame.width), bool)).as_arrow()
