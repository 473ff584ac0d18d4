"""The difference of any two systems on the same images: rows of ``paired_differences``.

Systems that answered the same samples, which is nearly always all of them, are resampled together: the images are
drawn once, and every pair is a subtraction.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.evaluation.intervals import resampled_sums
from t2s_pipeline.evaluation.metrics import Estimate, compare, difference, image_sums, images_of, null_if_nan
from t2s_pipeline.lake.schema import PAIRED_DIFFERENCES, SAMPLE_SCORES
from t2s_pipeline.lake.store import list_partitions, read_partition

Pair = tuple[str, str]
"""A system, and whom it is compared with."""


def pairs(systems: Iterable[str], baseline: str) -> list[Pair]:
    """Every two systems, in both directions; an intermediate checkpoint only with its own run and the baseline.

    A run of a hundred checkpoints would otherwise be compared with every other run's hundred.
    """

    def belong(a: str, b: str) -> bool:
        whole = "--" not in a and "--" not in b
        return whole or baseline in (a, b) or a.partition("--")[0] == b.partition("--")[0]

    return [(a, b) for a, b in permutations(sorted(systems), 2) if belong(a, b)]


def all_differences(
    scores: Mapping[str, pa.Table], wanted: Sequence[Pair], dataset: str, split: str, protocol: str
) -> pa.Table:
    """The wanted pairs' differences, a row a metric; pairs that share no answered sample are left out.

    Args:
        scores: of ``SAMPLE_SCORES``, by system, all of this dataset, split and protocol.
    """
    groups: dict[str, list[str]] = {}
    for name, table in scores.items():
        groups.setdefault(_answered(table), []).append(name)
    found: dict[Pair, tuple[int, dict[str, Estimate]]] = {}
    for names in groups.values():
        found |= _of_group({name: scores[name] for name in names}, [pair for pair in wanted if set(pair) <= {*names}])
    for pair in wanted:
        if pair not in found:
            try:
                found[pair] = compare(scores[pair[0]], scores[pair[1]])
            except InputError:  # nothing to compare them on
                continue
    rows = [
        {
            "system": system,
            "baseline": baseline,
            "dataset": dataset,
            "split": split,
            "protocol": protocol,
            "metric": metric,
            "n": n,
            "difference": null_if_nan(estimate.value),
            "low": null_if_nan(estimate.low),
            "high": null_if_nan(estimate.high),
        }
        for (system, baseline), (n, estimates) in sorted(found.items())
        for metric, estimate in estimates.items()
    ]
    return pa.Table.from_pylist(rows, schema=PAIRED_DIFFERENCES.schema)


def compare_everywhere(
    lake: Path, system: str, baseline: str, dataset: str | None = None, split: str | None = None
) -> pa.Table:
    """Two systems wherever both have scores, or on one dataset or split of them: rows of ``paired_differences``."""
    rows = [PAIRED_DIFFERENCES.schema.empty_table()]
    scored = list_partitions(lake, SAMPLE_SCORES)
    for partition in scored:
        place = {column: partition[column] for column in ("dataset", "split", "protocol")}
        wanted = dataset in (None, place["dataset"]) and split in (None, place["split"])
        if partition["system"] == system and wanted and {**place, "system": baseline} in scored:
            scores = {
                name: read_partition(lake, SAMPLE_SCORES, {**place, "system": name}) for name in (system, baseline)
            }
            rows.append(all_differences(scores, [(system, baseline)], **place))
    return pa.concat_tables(rows)


def _answered(scores: pa.Table) -> str:
    """Stands for the set of samples that a system answered."""
    answered = scores.filter(pc.not_equal(scores["status"], "missing"))
    samples = sorted(pc.unique(answered["sample_id"]).to_pylist())
    return hashlib.sha256("\0".join(samples).encode()).hexdigest()


def _of_group(scores: Mapping[str, pa.Table], wanted: Sequence[Pair]) -> dict[Pair, tuple[int, dict[str, Estimate]]]:
    """Systems that answered the same samples; the same numbers as ``compare`` gives pair by pair."""
    if not wanted:
        return {}
    answered = {name: table.filter(pc.not_equal(table["status"], "missing")) for name, table in scores.items()}
    place = {name: k for k, name in enumerate(answered)}
    one = next(iter(answered.values()))
    if one.num_rows == 0:
        return {}
    images, n = images_of(one), pc.count_distinct(one["sample_id"]).as_py()
    sums = np.hstack([image_sums(table, images) for table in answered.values()])
    drawn = resampled_sums(sums)
    return {pair: (n, difference(sums, drawn, place[pair[0]], place[pair[1]])) for pair in wanted}
