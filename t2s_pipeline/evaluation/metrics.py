"""gIoU, cIoU, P@0.5 and rejection of a system on a split, in percent, and the difference of two systems.

A sample counts once, independent of its number of questions: each of its n answers has the weight 1/n. With that weight
w, and with sums over all answers of the split,

    gIoU  = Σ w·iou / Σ w                    (paper, equation 4)
    cIoU  = Σ w·intersection / Σ w·union     (equation 5)
    P@0.5 = Σ w·hit / Σ w [hit not null]     (equation 6; hits are null where a protocol leaves answers out)

For one question per sample these are the equations as the paper prints them (docs/protocols.md).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.evaluation.intervals import RESAMPLES, SEED, Floats, percentile_interval, resampled_sums
from t2s_pipeline.lake.schema import BENCHMARK_METRICS

METRICS = ("giou", "ciou", "p_at_50")
COLUMNS = 2 * len(METRICS)
"""The number of columns of ``image_sums``: for each metric the denominator and the numerator."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, in percent or percentage points; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A system's metrics. ``n`` counts samples. ``answers`` and the counts below it count answers."""

    n: int
    answers: int
    giou: Estimate
    ciou: Estimate
    p_at_50: Estimate
    rejection_true: int
    rejection_false: int
    format_errors: int
    errors: int


def summarize(scores: pa.Table, resamples: int = RESAMPLES, seed: int = SEED) -> Summary:
    """Summarize ``sample_scores`` of one system, dataset, split and protocol.

    Args:
        scores: rows of ``SAMPLE_SCORES``.
        resamples: the number of bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        InputError: if there are no rows.
    """
    if scores.num_rows == 0:
        raise InputError("There are no scores to summarize: score at least one sample first.")
    sums = image_sums(scores, images_of(scores))
    resampled = ratios(resampled_sums(sums, resamples, seed))
    values = ratios(sums.sum(axis=0, keepdims=True))[0]
    estimates = {
        metric: Estimate(float(values[k]), *percentile_interval(resampled[:, k])) for k, metric in enumerate(METRICS)
    }
    empty = scores.filter(scores["gt_empty"])
    rejected = pc.sum(pc.equal(empty["iou"], 1.0)).as_py() or 0
    status = scores["status"]
    return Summary(
        n=pc.count_distinct(scores["sample_id"]).as_py(),
        answers=scores.num_rows,
        rejection_true=rejected,
        rejection_false=empty.num_rows - rejected,
        format_errors=pc.sum(pc.equal(status, "format_error")).as_py(),
        errors=pc.sum(pc.equal(status, "error")).as_py(),
        **estimates,
    )


def benchmark_metrics(scores: pa.Table, system: str, dataset: str, split: str, protocol: str) -> pa.Table:
    """The row of ``benchmark_metrics`` for one partition of ``sample_scores``."""
    summary = summarize(scores)
    row: dict[str, str | int | float | None] = {
        "system": system,
        "dataset": dataset,
        "split": split,
        "protocol": protocol,
    }
    for name in ("n", "answers", "rejection_true", "rejection_false", "format_errors", "errors"):
        row[name] = getattr(summary, name)
    for metric in METRICS:
        estimate = getattr(summary, metric)
        row[metric] = null_if_nan(estimate.value)
        row[f"{metric}_low"] = null_if_nan(estimate.low)
        row[f"{metric}_high"] = null_if_nan(estimate.high)
    return pa.Table.from_pylist([row], schema=BENCHMARK_METRICS.schema)


def compare(
    scores: pa.Table, baseline: pa.Table, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[int, dict[str, Estimate]]:
    """The difference of two systems on the samples that both answered, in percentage points.

    Every resample takes the same images for both systems. This makes the interval narrow, because an image that is
    difficult for one system is often difficult for the other too.

    Args:
        scores: rows of ``SAMPLE_SCORES`` of one system.
        baseline: of the system that is subtracted from it.
        resamples: the number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        The number of samples that both answered, and an estimate of each metric in ``METRICS``.

    Raises:
        InputError: if they share no answered sample.
    """
    ours, theirs = _shared(scores, baseline)
    if ours.num_rows == 0:
        raise InputError("The two systems share no answered sample, so they cannot be compared.")
    images = images_of(ours)
    sums = np.hstack([image_sums(ours, images), image_sums(theirs, images)])
    totals = resampled_sums(sums, resamples, seed)
    return pc.count_distinct(ours["sample_id"]).as_py(), difference(sums, totals, 0, 1)


def difference(sums: Floats, resampled: Floats, first: int, second: int) -> dict[str, Estimate]:
    """The difference of two systems, from the image sums of several systems side by side.

    Args:
        sums: float (images, 6 · systems), the columns of ``image_sums`` system by system.
        resampled: float (resamples, 6 · systems), the ``resampled_sums`` of ``sums``.
        first: index of the system.
        second: index of the system that is subtracted from it.
    """

    def subtract(totals: Floats) -> Floats:
        ours, theirs = (totals[:, COLUMNS * k : COLUMNS * (k + 1)] for k in (first, second))
        return ratios(ours) - ratios(theirs)

    values, differences = subtract(sums.sum(axis=0, keepdims=True))[0], subtract(resampled)
    return {
        metric: Estimate(float(values[k]), *percentile_interval(differences[:, k])) for k, metric in enumerate(METRICS)
    }


def images_of(scores: pa.Table) -> pa.Array:
    """The images, sorted: the seeded bootstrap depends on their order."""
    images = pc.unique(scores["image_id"])
    return images.take(pc.sort_indices(images))


def image_sums(scores: pa.Table, images: pa.Array) -> Floats:
    """The weighted sums per image whose ratios are the metrics: float (images, 6).

    Columns: w, w·iou, w·union, w·intersection, w·[hit not null], w·hit.
    """
    place = pc.index_in(scores["image_id"], images).to_numpy()
    sample = pc.rank(scores["sample_id"], tiebreaker="dense").to_numpy() - 1
    weight = 1.0 / np.bincount(sample)[sample]
    hit = scores["hit"]
    columns = (
        weight,
        weight * scores["iou"].to_numpy(),
        weight * scores["union"].to_numpy(),
        weight * scores["intersection"].to_numpy(),
        weight * pc.is_valid(hit).to_numpy(),
        weight * pc.fill_null(hit, False).to_numpy(),
    )
    sums: Floats = np.stack([np.bincount(place, column, minlength=len(images)) for column in columns], axis=1)
    return sums


def ratios(totals: Floats) -> Floats:
    """Percent (rows, 3) in the order of ``METRICS`` from column sums (rows, 6); NaN where nothing was counted."""
    counted, achieved = totals[:, 0::2], totals[:, 1::2]
    undefined = np.full_like(counted, np.nan)
    percent: Floats = np.divide(100.0 * achieved, counted, out=undefined, where=counted > 0)
    return percent


def _shared(a: pa.Table, b: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows of both for the samples that both answered. Of a sample, they may have answered different questions."""
    a, b = (table.filter(pc.not_equal(table["status"], "missing")) for table in (a, b))
    return (
        a.filter(pc.is_in(a["sample_id"], pc.unique(b["sample_id"]))),
        b.filter(pc.is_in(b["sample_id"], pc.unique(a["sample_id"]))),
    )


def null_if_nan(value: float) -> float | None:
    """The value, or None for NaN: tables hold undefined values as null."""
    return None if np.isnan(value) else value
