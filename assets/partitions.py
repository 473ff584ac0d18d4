"""Partitions: which dataset and split, which system, which training run.

Definitions and the translation between Dagster's keys and the lake's partitions belong here. What a partition
holds does not. https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets

All are dynamic, because a user's own folder, a new checkpoint and another seed each add a partition.
Keys never contain ``|``, ``,``, ``/`` or ``...``, which Dagster's own syntax uses.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import is_name, require_name
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.store import list_partitions
from t2s_pipeline.methods.experiments import EXPERIMENTS, experiment

dataset_splits = dg.DynamicPartitionsDefinition(name="dataset_split")
"""``<dataset>-<split>``, such as ``synthetic-val``."""

systems = dg.DynamicPartitionsDefinition(name="system")
"""The systems: ``zero-shot-mini``, or the name of a run."""

runs = dg.DynamicPartitionsDefinition(name="training_run")
"""One training run per experiment and seed. The sensor `trainings` adds the named experiments on a new instance.
``<experiment>-seed<n>`` can be added by hand where the UI asks for a partition, and by `t2s train`."""

evaluated_splits = dg.DynamicPartitionsDefinition(name="evaluated_split")
"""The dataset splits that systems are evaluated on. Training splits are not among them: the UI would show every
system as missing there for ever."""

imagery_scenes = dg.DynamicPartitionsDefinition(name="scene")
"""The scenes of the imagery folder. The sensor `new_scenes` adds them."""

evaluations = dg.MultiPartitionsDefinition({"system": systems, "split": evaluated_splits})


def known_runs(settings: Settings) -> list[str]:
    """The named experiments, then the runs on disk that are a named experiment with another seed."""
    named = [experiment.run for experiment in EXPERIMENTS.values()]
    folders = sorted(path.name for path in settings.runs.iterdir()) if settings.runs.is_dir() else []
    seeds = [name for name in folders if name.partition("-seed")[0] in EXPERIMENTS and name not in named]
    return [*named, *seeds]


def split_key(dataset: str, split: str) -> str:
    """The key of a dataset's split."""
    return f"{dataset}-{split}"


def dataset_and_split(key: str) -> tuple[str, str]:
    """The inverse of ``split_key``: a split's name holds no hyphen, a dataset's may."""
    dataset, _, split = key.rpartition("-")
    return dataset, split


def system_key(system: str, dataset: str, split: str) -> dg.MultiPartitionKey:
    """The key of a system on a split."""
    return dg.MultiPartitionKey({"system": system, "split": split_key(dataset, split)})


def evaluation_of(key: str) -> tuple[str, str, str]:
    """(system, dataset, split): the inverse of ``system_key``.

    Args:
        key: a run's partition key, which is a ``MultiPartitionKey`` for the assets of ``evaluations``.
    """
    if not isinstance(key, dg.MultiPartitionKey):
        raise TypeError(f"{key!r} is not a key of a system and a split")
    keys = key.keys_by_dimension
    return keys["system"], *dataset_and_split(keys["split"])


def partition_key(partition: Partition) -> str | None:
    """Dagster's key for a partition of the lake, by the columns that it has; None for an unpartitioned table."""
    system = partition.get("system")
    if "run" in partition:
        return partition["run"]
    if "scene" in partition:
        return partition["scene"]
    if "dataset" not in partition:
        return system
    if system is None:
        return split_key(partition["dataset"], partition["split"])
    return system_key(system, partition["dataset"], partition["split"])


def remember(instance: dg.DagsterInstance, partition: Partition) -> None:
    """Register the dynamic keys that a partition needs, so that the UI offers them."""
    if "run" in partition:
        add_keys(instance, runs, [partition["run"]])
    if "scene" in partition:
        add_keys(instance, imagery_scenes, [partition["scene"]])
        return
    system = partition.get("system")
    if system is not None:
        add_keys(instance, systems, [system])
    if "dataset" in partition:
        splits = dataset_splits if system is None else evaluated_splits
        add_keys(instance, splits, [split_key(partition["dataset"], partition["split"])])


def known_keys(instance: dg.DagsterInstance, definition: dg.DynamicPartitionsDefinition) -> set[str]:
    """The keys that are registered."""
    return set(instance.get_dynamic_partitions(_name_of(definition)))


def add_keys(
    instance: dg.DagsterInstance, definition: dg.DynamicPartitionsDefinition, keys: Sequence[str]
) -> list[str]:
    """Register the keys that are new, and return them.

    Raises:
        InputError: for a key that cannot be one of the definition's.
    """
    for key in keys:
        require_key(definition, key)
    known = known_keys(instance, definition)
    new = [key for key in keys if key not in known]
    if new:
        instance.add_dynamic_partitions(_name_of(definition), new)
    return new


def require_key(definition: dg.DynamicPartitionsDefinition, key: str) -> None:
    """Check that a key follows the rule for names.

    Raises:
        InputError: if it does not. The message says how such keys are written.
    """
    if definition in (dataset_splits, evaluated_splits):
        dataset, split = dataset_and_split(key)
        if not (is_name(dataset) and is_name(split)):
            raise InputError(f"{key!r} is no partition: write <dataset>-<split>, for example synthetic-val.")
    elif definition in (runs, imagery_scenes):
        require_name(key, "run" if definition == runs else "scene")
    else:
        run, separator, step = key.partition("--")
        require_name(run, "system")
        if separator and not step.isdecimal():
            raise InputError(f"{key!r} is no system: after -- comes the training step, for example {run}--200.")


def impossible_keys(
    settings: Settings, instance: dg.DagsterInstance
) -> Iterator[tuple[dg.DynamicPartitionsDefinition, str, str]]:
    """Registered keys that can never be materialized, each with the reason. People add keys by hand in the UI."""
    recorded = {partition["run"] for partition in list_partitions(settings.lake, schema.CHECKPOINTS)}
    for definition in (dataset_splits, evaluated_splits, systems, runs, imagery_scenes):
        for key in sorted(known_keys(instance, definition)):
            try:
                require_key(definition, key)
                if definition == runs and key not in recorded and not (settings.runs / key).exists():
                    experiment(key)
            except InputError as fault:
                yield definition, key, str(fault)


def _name_of(definition: dg.DynamicPartitionsDefinition) -> str:
    assert definition.name is not None, "all our definitions have a name"
    return definition.name
