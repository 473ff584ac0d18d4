"""Housekeeping of the Dagster instance: abandoned runs are closed, trainings are offered, and keys are checked.

https://docs.dagster.io/guides/automate/sensors
"""

import dagster as dg

from assets.abandoned_runs import close_abandoned
from assets.partitions import impossible_keys, known_keys, known_runs, runs
from assets.resources import WorkerLauncher


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Shows runs as failed whose process has ended, and frees their slots of the pool."""
    return dg.SkipReason(f"{close_abandoned(context.instance)} runs were abandoned.")


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def trainings(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult | dg.SkipReason:
    """Offers every named experiment, and every run of T2S_HOME/runs with its seed, as a partition to train."""
    offered = known_keys(context.instance, runs)
    new = [run for run in known_runs(worker.settings) if run not in offered]
    if not new:
        return dg.SkipReason("Every experiment is offered.")
    return dg.SensorResult(dynamic_partitions_requests=[runs.build_add_request(new)])


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def impossible_partitions(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Removes partitions whose name can be nothing: a person added them by hand and made a mistake.

    The reason is in the log of the tick.
    """
    requests = []
    for definition, key, reason in impossible_keys(worker.settings, context.instance):
        context.log.warning(f"The partition {key!r} of {definition.name} was removed. {reason}")
        requests.append(definition.build_delete_request([key]))
    if not requests:
        return dg.SensorResult(skip_reason="Every partition has a possible name.")
    return dg.SensorResult(dynamic_partitions_requests=requests)


ALL = [abandoned_runs, trainings, impossible_partitions]
