"""Partitions: which dataset and split, which system, which training run.

Definitions and the translation between Dagster's keys and the lake's partitions belong here; what a partition
holds does not. https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets

All are dynamic, because a user's own folder, a new checkpoint and another seed become partitions by being there.
Keys never hold ``|``, ``,``, ``/`` or ``...``, which Dagster's own syntax uses.
"""

from collections.abc import Iterable

import dagster as dg

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.store import Partition
from t2s_pipeline.methods.experiments import EXPERIMENTS

dataset_splits = dg.DynamicPartitionsDefinition(name="dataset_split")
"""``<dataset>-<split>``, such as ``synthetic-val``."""

systems = dg.DynamicPartitionsDefinition(name="system")
"""Who answers: ``zero-shot-mini``, or a run's name."""

runs = dg.DynamicPartitionsDefinition(name="training_run")
"""One training run an experiment and seed. The sensor `trainings` fills in the named experiments on a new instance;
``<experiment>-seed<n>`` can be added by hand where the UI asks for a partition, and by `t2s train`."""

evaluated_splits = dg.DynamicPartitionsDefinition(name="evaluated_split")
"""Those of the dataset splits that systems are evaluated on. Training splits are not among them, or every system
would be shown as missing there for ever."""

evaluations = dg.MultiPartitionsDefinition({"system": systems, "split": evaluated_splits})


def known_runs(settings: Settings) -> list[str]:
    """The named experiments, then the runs on disk that are theirs with another seed."""
    named = [experiment.run for experiment in EXPERIMENTS.values()]
    folders = sorted(path.name for path in settings.runs.iterdir()) if settings.runs.is_dir() else []
    seeds = [name for name in folders if name.partition("-seed")[0] in EXPERIMENTS and name not in named]
    return [*named, *seeds]


def split_key(dataset: str, split: str) -> str:
    return f"{dataset}-{split}"


def dataset_and_split(key: str) -> tuple[str, str]:
    """The inverse of ``split_key``: a split's name holds no hyphen, a dataset's may."""
    dataset, _, split = key.rpartition("-")
    return dataset, split


def system_key(system: str, dataset: str, split: str) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"system": system, "split": split_key(dataset, split)})


def partition_key(partition: Partition) -> str | None:
    """Dagster's key for a partition of the lake, by the columns that it has; None for an unpartitioned table."""
    system = partition.get("system")
    if "run" in partition:
        return partition["run"]
    if "dataset" not in partition:
        return system
    if system is None:
        return split_key(partition["dataset"], partition["split"])
    return system_key(system, partition["dataset"], partition["split"])


def remember(instance: dg.DagsterInstance, partition: Partition) -> None:
    """Register the dynamic keys that a partition needs, so that the UI offers them."""
    if "run" in partition:
        _add(instance, runs, [partition["run"]])
    system = partition.get("system")
    if system is not None:
        _add(instance, systems, [system])
    if "dataset" in partition:
        splits = dataset_splits if system is None else evaluated_splits
        _add(instance, splits, [split_key(partition["dataset"], partition["split"])])


def _add(instance: dg.DagsterInstance, definition: dg.DynamicPartitionsDefinition, keys: Iterable[str]) -> None:
    known = set(instance.get_dynamic_partitions(definition.name))
    new = [key for key in keys if key not in known]
    if new:
        instance.add_dynamic_partitions(definition.name, new)
