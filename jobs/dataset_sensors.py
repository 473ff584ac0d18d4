"""Every dataset that can be read is offered in the UI: the benchmarks, and a user's own as soon as it is named.

Which datasets there are, the library knows (``t2s_pipeline/catalog.py``). https://docs.dagster.io/guides/automate/sensors
"""

import dagster as dg

from assets.partitions import dataset_splits, split_key
from assets.resources import WorkerLauncher
from t2s_pipeline.datasets.catalog import readable_splits

LOOK_EVERY = 30
"""Seconds."""


@dg.sensor(minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def known_datasets(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Registers a partition for each split of each known dataset; `t2s doctor` says where their files lie."""
    splits, faults = readable_splits(worker.settings)
    for fault in faults:
        context.log.warning(fault)
    there = set(context.instance.get_dynamic_partitions(dataset_splits.name))
    new = [key for key in (split_key(*place) for place in splits) if key not in there]
    if not new:
        return dg.SensorResult(skip_reason="No dataset is new.")
    return dg.SensorResult(dynamic_partitions_requests=[dataset_splits.build_add_request(new)])


ALL = [known_datasets]
