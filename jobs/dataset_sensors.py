"""Every dataset that can be read is offered in the UI: the benchmarks, and a user's own dataset after its first ingest.

The library knows the datasets (``t2s_pipeline/datasets/catalog.py``).
https://docs.dagster.io/guides/automate/sensors
"""

import dagster as dg

from assets.partitions import dataset_splits, known_keys, split_key
from assets.resources import WorkerLauncher
from t2s_pipeline.datasets.catalog import readable_splits

LOOK_EVERY = 30
"""Seconds."""


@dg.sensor(minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def known_datasets(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Registers a partition for each split of each known dataset. `t2s doctor` says where the files lie."""
    splits, faults = readable_splits(worker.settings)
    for fault in faults:
        context.log.warning(fault)
    registered = known_keys(context.instance, dataset_splits)
    new = [key for key in (split_key(dataset, split) for dataset, split in splits) if key not in registered]
    if not new:
        return dg.SensorResult(skip_reason="No dataset is new.")
    return dg.SensorResult(dynamic_partitions_requests=[dataset_splits.build_add_request(new)])


ALL = [known_datasets]
