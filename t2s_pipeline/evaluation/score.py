"""Predicted masks compared with the ground truth under a named protocol, one row per answer.

Published numbers mix two ways of counting. So both exist here, and every table names the one that it used.
docs/protocols.md explains each rule and gives its source.

| | ``strict`` (the paper's equations 4–6) | ``reference`` (the authors' evaluation code) |
|---|---|---|
| resolution | the native image | the prompter's square, truth by Pillow's nearest neighbour |
| the target is empty | if its native mask is empty | if its mask at the square is empty |
| right answer to an empty target | an empty mask, from an answer that was read | an empty list |
| false alarm on an empty target | predicted area enters the union | adds nothing to the union |
| failed or empty answer on a target | ground-truth area enters the union | the same |
| P@0.5 | IoU > 0.5, every answer | IoU ≥ 0.5, answers that have a mask array (``_HAS_MASK``) |
| questions | all | one per sample: the first answered one, in the order of ``datasets/question_choice.py`` |
| parser | the training parser | laxer (``prompting/lax.py``) |
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.question_choice import BY_HASH, ordered_questions
from t2s_pipeline.lake.schema import SAMPLE_SCORES
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.run_lengths import Runs

PROTOCOLS = ("strict", "reference")
"""The names of the protocols, in the order in which they are scored and shown."""

COLUMNS_OF_SAMPLES = ("sample_id", "image_id", "questions", "mask")
"""The columns of ``SAMPLES`` that are read."""

COLUMNS_OF_QUESTIONS = ("sample_id", "question_index", "side")
"""The columns of ``PREDICTIONS`` that say which questions were answered."""

BATCH_ROWS = 1024
"""The most predictions whose masks are in memory at a time."""

UNANSWERED = frozenset({"format_error", "error", "missing"})
"""Statuses of answers that say nothing about the image. On an empty target they do not count as a correct rejection."""

_HAS_MASK = {
    False: frozenset({"ok", "empty_mask"}),
    # The authors never ask the segmenter about an empty target. Every answer that they can read gets a mask of zeros.
    True: frozenset({"ok", "empty_mask", "rejected", "error"}),
}
"""Whether the target is empty → the statuses of answers that have a mask array, perhaps all zero, for the authors."""


@dataclass(frozen=True)
class Truth:
    """A sample's ground truth at the resolution that is scored. ``questions`` is the number of its questions."""

    image_id: str
    mask: Runs
    empty: bool
    questions: int


@dataclass(frozen=True, slots=True)
class SampleScore:
    """One row of ``sample_scores``. The schema of the table gives the meaning of each field."""

    sample_id: str
    image_id: str
    question_index: int
    intersection: int
    union: int
    iou: float
    hit: bool | None
    gt_empty: bool
    pred_empty: bool
    status: str


def score_predictions(samples: pa.Table, predictions: pa.Table, protocol: str, rule: str = BY_HASH) -> pa.Table:
    """Score a system's predictions on a split.

    Args:
        samples: of ``SAMPLES``, the whole split: a sample without any prediction scores 0, status ``missing``.
        predictions: of ``PREDICTIONS``; ``mask`` is read under ``strict``, ``square_mask`` under ``reference``.
        protocol: one of ``PROTOCOLS``.
        rule: which question of a sample ``reference`` scores: ``by_hash`` or ``first`` (``question_choice.py``).

    Returns:
        A table of ``SAMPLE_SCORES``, sorted by sample and question.

    Raises:
        InputError: for an unknown protocol, a prediction of an unknown sample or question, an answer given
            twice, or a mask whose size is not that of the truth.
    """
    _require_known(protocol)
    batches = predictions.select(columns_of_answers(protocol)).to_batches(BATCH_ROWS)
    return score_batches(samples, predictions, batches, protocol, rule)


def score_batches(
    samples: pa.Table, answered: pa.Table, batches: Iterable[pa.RecordBatch], protocol: str, rule: str = BY_HASH
) -> pa.Table:
    """As ``score_predictions``, for predictions whose masks are not all in memory at a time.

    Args:
        samples: of ``SAMPLES``, the whole split, with at least ``COLUMNS_OF_SAMPLES``.
        answered: of ``PREDICTIONS``, all of them, with at least ``COLUMNS_OF_QUESTIONS``.
        batches: the same predictions, in the same order, with the columns that ``columns_of_answers`` names.
        protocol: one of ``PROTOCOLS``.
        rule: which question of a sample ``reference`` scores.

    Raises:
        InputError: as ``score_predictions``, and if the batches are other predictions.
    """
    _require_known(protocol)
    questions = _answered_questions(samples, answered)
    if protocol == "reference":
        scored = {
            sample_id: set(ordered_questions(rule, sample_id, asked)[:1]) for sample_id, asked in questions.items()
        }
        side = _side(answered)
    else:
        scored, side = questions, None
    truths = _Truths(samples, side)
    rows = []
    remaining = answered.num_rows
    for sample_id, index, status, mask in _answers(batches, protocol):
        remaining -= 1
        if remaining < 0 or index not in questions.get(sample_id, ()):
            raise InputError("The predictions were replaced while they were scored: run the same command again.")
        if index in scored[sample_id]:
            rows.append(_score(sample_id, index, status, truths.of(sample_id), mask, protocol))
    if remaining:
        raise InputError("The predictions were replaced while they were scored: run the same command again.")
    for sample_id in truths.row_of:
        if sample_id not in questions:
            truth = truths.of(sample_id)
            first = ordered_questions(rule, sample_id, range(max(1, truth.questions)))[0]
            rows.append(_score(sample_id, first, "missing", truth, None, protocol))
    rows.sort(key=lambda row: (row.sample_id, row.question_index))
    columns = {name: [getattr(row, name) for row in rows] for name in SAMPLE_SCORES.schema.names}
    return pa.table(columns, schema=SAMPLE_SCORES.schema)


def columns_of_answers(protocol: str) -> list[str]:
    """The columns of ``PREDICTIONS`` that a protocol scores."""
    at_its_size = ["square_status", "square_mask"] if protocol == "reference" else ["mask"]
    return ["sample_id", "question_index", "status", *at_its_size]


def _require_known(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise InputError(f"Unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")


def _score(sample_id: str, index: int, status: str, truth: Truth, mask: masks.Rle | None, protocol: str) -> SampleScore:
    """Apply the rules of the protocol to one answer."""
    area = intersection = 0
    hit: bool | None
    if mask is not None:
        if (mask.height, mask.width) != (truth.mask.height, truth.mask.width):
            raise InputError(
                f"The predicted mask of sample {sample_id}, question {index}, is {mask.height}×{mask.width} "
                f"(height × width) but its {protocol} ground truth is {truth.mask.height}×{truth.mask.width}: "
                "give masks at that size."
            )
        predicted = Runs.of(mask)
        area = predicted.area
        intersection = predicted.intersection(truth.mask)
    strict = protocol == "strict"
    if truth.empty:
        # The equations compare masks. The authors' code compares what the answer says, before any segmentation.
        rejects = area == 0 and status not in UNANSWERED if strict else status == "rejected"
        iou = 1.0 if rejects else 0.0
        union = area if strict else 0
    else:
        union = truth.mask.area + area - intersection
        iou = intersection / union
    if strict:
        hit = iou > 0.5
    else:
        hit = iou >= 0.5 if status in _HAS_MASK[truth.empty] else None
    return SampleScore(sample_id, truth.image_id, index, intersection, union, iou, hit, truth.empty, area == 0, status)


def _answers(batches: Iterable[pa.RecordBatch], protocol: str) -> Iterator[tuple[str, int, str, masks.Rle | None]]:
    """Sample, question, status and mask of each prediction. One batch at a time is held as Python objects."""
    name = "square_mask" if protocol == "reference" else "mask"
    for batch in batches:
        status = batch["status"]
        if protocol == "reference":
            status = pc.coalesce(batch["square_status"], status)
        columns = (batch["sample_id"], batch["question_index"], status, batch[name])
        for sample_id, index, status_of_one, value in zip(*(column.to_pylist() for column in columns), strict=True):
            if value is None and status_of_one == "ok":
                raise InputError(f"The prediction of sample {sample_id}, question {index}, is ok but has no {name}.")
            yield sample_id, index, status_of_one, None if value is None else masks.Rle.from_arrow(value)


def _answered_questions(samples: pa.Table, predictions: pa.Table) -> dict[str, set[int]]:
    """The questions of each sample that the system answered. Checks that predictions and samples belong together."""
    counts = [max(1, len(questions)) for questions in samples["questions"].to_pylist()]
    asked = dict(zip(samples["sample_id"].to_pylist(), counts, strict=True))
    answered: dict[str, set[int]] = {}
    surplus: dict[str, None] = {}
    for sample_id, index in zip(
        predictions["sample_id"].to_pylist(), predictions["question_index"].to_pylist(), strict=True
    ):
        if sample_id not in asked:
            surplus[sample_id] = None
            continue
        if not 0 <= index < asked[sample_id]:
            raise InputError(f"Sample {sample_id} has {asked[sample_id]} questions, so no question {index}.")
        indices = answered.setdefault(sample_id, set())
        if index in indices:
            raise InputError(f"Question {index} of sample {sample_id} is answered twice: keep one prediction.")
        indices.add(index)
    if surplus:
        raise InputError(
            f"{len(surplus)} predicted samples are not in the split (first: {', '.join(list(surplus)[:3])}): "
            "predict the same dataset and split that is scored."
        )
    return answered


def _side(predictions: pa.Table) -> int:
    """The side of the prompter's square, which must be the same in all predictions of the system."""
    sides = predictions["side"].drop_null().unique().to_pylist()
    if len(sides) != 1:
        raise InputError(f"The reference protocol needs one square side in all predictions, found {sides or 'none'}.")
    return int(sides[0])


class _Truths:
    """Checked ground truths by sample, resized if ``side`` is given. The last one is kept for the next question."""

    def __init__(self, samples: pa.Table, side: int | None) -> None:
        self._masks = samples["mask"].combine_chunks()
        self._images = samples["image_id"].to_pylist()
        self._questions = samples["questions"].to_pylist()
        self._side = side
        self._last: tuple[str, Truth] | None = None
        self.row_of = {sample_id: row for row, sample_id in enumerate(samples["sample_id"].to_pylist())}

    def of(self, sample_id: str) -> Truth:
        """The ground truth of a sample.

        Raises:
            InputError: if the sample has no mask, or a malformed one.
        """
        if self._last is None or self._last[0] != sample_id:
            self._last = (sample_id, self._read(sample_id))
        return self._last[1]

    def _read(self, sample_id: str) -> Truth:
        row = self.row_of[sample_id]
        value = self._masks[row].as_py()
        if value is None:
            raise InputError(f"Sample {sample_id} has no ground-truth mask: an empty target needs an all-zero one.")
        mask = Runs.of(masks.Rle.from_arrow(value))
        if self._side is not None:
            mask = mask.nearest(self._side, self._side)
        # Decided at the size that is scored: the authors' code sees the square only, where a few pixels can vanish.
        return Truth(self._images[row], mask, mask.area == 0, len(self._questions[row]))
