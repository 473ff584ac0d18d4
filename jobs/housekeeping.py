"""What keeps the instance in order: runs that died are closed, and every training that can be had is offered.

https://docs.dagster.io/guides/automate/sensors
"""

import socket

import dagster as dg

from assets.partitions import known_runs, runs
from assets.resources import WorkerLauncher
from t2s_pipeline.worker.process_ids import HOST, PROCESS, is_gone


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


def close_abandoned(instance: dg.DagsterInstance) -> int:
    """Fail every unfinished run that names a process of this host that is gone; returns how many.

    Such a process died without a word (killed, power lost). Dagster sees that a run's process is gone only while
    the code server that started it lives.
    """
    unfinished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING],
        tags={HOST: socket.gethostname()},
    )
    closed = 0
    for run in instance.get_runs(filters=unfinished):
        # Looked at again: it may have ended well between the question and the answer.
        if is_gone(run.tags[PROCESS]) and not instance.get_run_by_id(run.run_id).is_finished:
            instance.report_run_failed(run, "The process that ran this is gone; what it finished is kept.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed += 1
    return closed


ALL = [abandoned_runs, trainings]
