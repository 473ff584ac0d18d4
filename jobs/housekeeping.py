"""What keeps the instance in order: runs that died are closed, and every training that can be had is offered.

https://docs.dagster.io/guides/automate/sensors
"""

import dagster as dg

from assets.partitions import known_runs, runs
from assets.resources import WorkerLauncher
from jobs.abandoned import close_abandoned


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Shows runs as failed whose process is gone, and gives back their slots of the pool."""
    return dg.SkipReason(f"{close_abandoned(context.instance)} runs were abandoned.")


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def trainings(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult | dg.SkipReason:
    """Offers every named experiment, and every run of T2S_HOME/runs with its seed, as a partition to train."""
    offered = set(context.instance.get_dynamic_partitions(runs.name))
    new = [run for run in known_runs(worker.settings) if run not in offered]
    if not new:
        return dg.SkipReason("Every experiment is offered.")
    return dg.SensorResult(dynamic_partitions_requests=[runs.build_add_request(new)])


ALL = [abandoned_runs, trainings]
