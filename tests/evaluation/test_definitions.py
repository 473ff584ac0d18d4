"""Both protocols against their definitions, written here as plain loops over pixels, on 10,000 generated splits.

``reference`` is written as the authors' evaluation counts: an answer is read, an empty target is judged by what the
answer says, and P@0.5 is a share of the answers that have an array of a mask, be it all zero. ``strict`` is written as
the paper's equations 4 to 6. Neither definition knows of a table, a status or a weight.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from t2s_pipeline.datasets.question_choice import question_order
from t2s_pipeline.evaluation import metrics
from t2s_pipeline.evaluation.score import score_predictions
from t2s_pipeline.lake.schema import PREDICTIONS, SAMPLES
from t2s_pipeline.vision import masks

SPLITS = 10_000
SIDE = 5
UNREADABLE, NO_TARGET, PROMPTS, FAILURE = "unreadable", "no target", "prompts", "prompts that our segmenter failed on"
KINDS = (UNREADABLE, NO_TARGET, PROMPTS, PROMPTS, PROMPTS, FAILURE)


@dataclass(frozen=True)
class Said:
    """One answer: what the training parser and the laxer parser read, and the masks of its prompts (may be empty)."""

    trained: str
    lax: str
    native: np.ndarray
    square: np.ndarray


@dataclass(frozen=True)
class Case:
    """One sample: its target at native size, and its answers by question index."""

    sample_id: str
    truth: np.ndarray
    questions: int
    answers: dict[int, Said]


def random_mask(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Empty, a single pixel, or a share of the pixels."""
    kind, mask = rng.random(), np.zeros(shape, bool)
    if kind < 0.25:
        return mask
    if kind < 0.45:
        mask.flat[rng.integers(mask.size)] = True
        return mask
    return rng.random(shape) < rng.random()


def random_case(rng: np.random.Generator, sample_id: str) -> Case:
    shape = tuple(rng.integers(1, 12, 2).tolist())
    truth, questions = random_mask(rng, shape), int(rng.integers(1, 3))
    answers = {}
    for index in range(questions):
        if rng.random() < 0.15:
            continue
        lax = KINDS[rng.integers(len(KINDS))]
        trained = UNREADABLE if lax != FAILURE and rng.random() < 0.2 else lax
        native = truth if rng.random() < 0.3 else random_mask(rng, shape)
        square = at_square(native) if rng.random() < 0.5 else random_mask(rng, (SIDE, SIDE))
        answers[index] = Said(trained, lax, native, square)
    return Case(sample_id, truth, questions, answers)


def at_square(mask: np.ndarray) -> np.ndarray:
    resized = Image.fromarray(mask.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return np.asarray(resized).astype(bool)


def by_authors(split: list[Case]) -> tuple[float, float | None, float | None]:
    """GIoU, cIoU and P@0.5 as the authors' evaluation counts them."""
    sum_of_ious = intersections = unions = hits = with_mask = 0
    for case in split:
        truth = at_square(case.truth)
        order = [index for index in question_order(case.sample_id, range(case.questions)) if index in case.answers]
        said = case.answers[order[0]] if order else Said(UNREADABLE, UNREADABLE, truth, truth)
        iou, has_mask = 0.0, False
        if not truth.any():
            has_mask = said.lax != UNREADABLE
            iou = 1.0 if said.lax == NO_TARGET else 0.0
        elif said.lax == PROMPTS:
            has_mask = True
            intersections += (said.square & truth).sum()
            unions += (said.square | truth).sum()
            iou = (said.square & truth).sum() / (said.square | truth).sum()
        else:
            unions += truth.sum()
        sum_of_ious += iou
        with_mask += has_mask
        hits += has_mask and iou >= 0.5
    return (
        sum_of_ious / len(split),
        intersections / unions if unions else None,
        hits / with_mask if with_mask else None,
    )


def by_equations(split: list[Case]) -> tuple[float, float | None, float | None]:
    """GIoU, cIoU and P@0.5 of equations 4 to 6, each sample standing for the mean over its answers.

    The IoU of two empty masks is 1. An answer that gives no mask at all has an IoU of 0.
    """
    ious, intersections, unions, hits = [], [], [], []
    for case in split:
        of_sample = []
        for said in case.answers.values() or [Said(UNREADABLE, UNREADABLE, case.truth, case.truth)]:
            has_mask = said.trained in (NO_TARGET, PROMPTS)
            mask = said.native if said.trained == PROMPTS else np.zeros_like(case.truth)
            shared, either = (mask & case.truth).sum(), (mask | case.truth).sum()
            iou = float(has_mask) if either == 0 else shared / either
            of_sample.append((iou, shared, either, iou > 0.5))
        for column, values in zip((ious, intersections, unions, hits), zip(*of_sample, strict=True), strict=True):
            column.append(np.mean(values))
    return np.mean(ious), sum(intersections) / sum(unions) if sum(unions) else None, np.mean(hits)


def sample_row(case: Case) -> dict:
    return {
        "sample_id": case.sample_id,
        "image_id": case.sample_id.partition("-")[0],
        "questions": ["?"] * case.questions,
        "mask": masks.encode(case.truth).as_arrow(),
    }


def prediction_row(case: Case, index: int, said: Said) -> dict:
    """The row that ``segment_texts`` would write for the answer."""

    def status(kind: str) -> str:
        if kind == PROMPTS:
            return "ok" if said.native.any() else "empty_mask"
        return {UNREADABLE: "format_error", NO_TARGET: "rejected", FAILURE: "error"}[kind]

    def stored(kind: str, mask: np.ndarray) -> dict | None:
        if kind in (UNREADABLE, FAILURE):
            return None
        return masks.encode(mask if kind == PROMPTS else np.zeros_like(mask)).as_arrow()

    return {
        "sample_id": case.sample_id,
        "question_index": index,
        "side": SIDE,
        "status": status(said.trained),
        "square_status": None if said.lax == said.trained else status(said.lax),
        "mask": stored(said.trained, said.native),
        "square_mask": stored(said.lax, said.square),
    }


@pytest.fixture(scope="module")
def splits() -> list[list[Case]]:
    rng = np.random.default_rng(13)
    return [[random_case(rng, f"{n:05}-{k}") for k in range(rng.integers(1, 3))] for n in range(SPLITS)]


@pytest.mark.parametrize(("protocol", "definition"), [("reference", by_authors), ("strict", by_equations)])
def test_a_protocol_is_its_definition_on_ten_thousand_splits(splits, protocol, definition):
    cases = [case for split in splits for case in split]
    answers = [prediction_row(case, index, said) for case in cases for index, said in case.answers.items()]
    scored = score_predictions(
        pa.Table.from_pylist([sample_row(case) for case in cases], schema=SAMPLES.schema),
        pa.Table.from_pylist(answers, schema=PREDICTIONS.schema),
        protocol,
    )
    # All splits are scored in one call; each has an image of its own, so the sums per image are the sums per split.
    measured = metrics.ratios(metrics.image_sums(scored, metrics.images_of(scored)))
    expected = 100 * np.array([definition(split) for split in splits], float)
    differing = np.flatnonzero(~np.isclose(measured, expected, rtol=0, atol=1e-9, equal_nan=True).all(axis=1))
    assert measured.shape == (SPLITS, 3)
    assert not differing.size, (splits[differing[0]], measured[differing[0]], expected[differing[0]])
