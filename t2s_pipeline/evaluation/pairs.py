"""The difference of any two systems on the same images: rows of ``paired_differences``.

Systems that answered the same samples (usually all systems) are resampled together: the images of the resamples are
chosen once, and every pair is then a subtraction.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import permutations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.evaluation.intervals import resampled_sums
from t2s_pipeline.evaluation.metrics import Estimate, compare, difference, image_sums, images_of, null_if_nan
from t2s_pipeline.lake.schema import PAIRED_DIFFERENCES

Pair = tuple[str, str]
"""A system, and the system that it is compared with."""


def pairs(systems: Iterable[str], untrained: Collection[str]) -> list[Pair]:
    """Every two systems, in both directions.

    An intermediate checkpoint is paired only with the systems of its own run and with untrained systems.
    Without this rule the hundred checkpoints of a run would be compared with the hundred of every other run.

    Args:
        systems: names; ``<run>--<step>`` is an intermediate checkpoint.
        untrained: the names of the systems that trained ones are compared with.
    """

    def belong(a: str, b: str) -> bool:
        both_final = "--" not in a and "--" not in b
        return both_final or a in untrained or b in untrained or a.partition("--")[0] == b.partition("--")[0]

    return [(a, b) for a, b in permutations(sorted(systems), 2) if belong(a, b)]


def all_differences(
    scores: Mapping[str, pa.Table], compared: Sequence[Pair], dataset: str, split: str, protocol: str
) -> pa.Table:
    """The differences of the pairs, one row per metric. Pairs that share no answered sample are left out.

    Args:
        scores: of ``SAMPLE_SCORES``, by system, all of this dataset, split and protocol.
        compared: the pairs.
        dataset: key of the dataset.
        split: of the dataset.
        protocol: that the scores were made under.
    """
    groups: dict[str, list[str]] = {}
    for name, table in scores.items():
        groups.setdefault(_answered(table), []).append(name)
    differences: dict[Pair, tuple[int, dict[str, Estimate]]] = {}
    for names in groups.values():
        inside = [pair for pair in compared if set(pair) <= {*names}]
        differences |= _of_group({name: scores[name] for name in names}, inside)
    for pair in compared:
        if pair not in differences:
            try:
                differences[pair] = compare(scores[pair[0]], scores[pair[1]])
            except InputError:  # they share no answered sample
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
        for (system, baseline), (n, estimates) in sorted(differences.items())
        for metric, estimate in estimates.items()
    ]
    return pa.Table.from_pylist(rows, schema=PAIRED_DIFFERENCES.schema)


def _answered(scores: pa.Table) -> str:
    """A hash of the set of samples that a system answered."""
    answered = scores.filter(pc.not_equal(scores["status"], "missing"))
    samples = sorted(pc.unique(answered["sample_id"]).to_pylist())
    return hashlib.sha256("\0".join(samples).encode()).hexdigest()


def _of_group(scores: Mapping[str, pa.Table], compared: Sequence[Pair]) -> dict[Pair, tuple[int, dict[str, Estimate]]]:
    """The differences of systems that answered the same samples; the same numbers as ``compare`` gives per pair."""
    if not compared:
        return {}
    answered = {name: table.filter(pc.not_equal(table["status"], "missing")) for name, table in scores.items()}
    index = {name: k for k, name in enumerate(answered)}
    first = next(iter(answered.values()))
    if first.num_rows == 0:
        return {}
    images, n = images_of(first), pc.count_distinct(first["sample_id"]).as_py()
    sums = np.hstack([image_sums(table, images) for table in answered.values()])
    resampled = resampled_sums(sums)
    return {pair: (n, difference(sums, resampled, index[pair[0]], index[pair[1]])) for pair in compared}
