"""Housekeeping of the Dagster instance: abandoned runs are closed, trainings are offered, and keys are checked.

https://docs.dagster.io/guides/automate/sensors
"""

import socket

import dagster as dg

from assets.partitions import impossible_keys, known_keys, known_runs, runs
from assets.resources import WorkerLauncher
from t2s_pipeline.worker.process_ids import HOST, PROCESS, is_gone


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


def close_abandoned(instance: dg.DagsterInstance) -> int:
    """Mark every unfinished run as failed whose process on this host has ended; return how many there were.

    Such a process was killed, or the machine lost power. Dagster itself notices that the process of a run has ended
    only while the code server that started it is running.
    """
    unfinished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING],
        tags={HOST: socket.gethostname()},
    )
    closed = 0
    for run in instance.get_runs(filters=unfinished):
        if not is_gone(run.tags[PROCESS]) or _inherits_its_process(instance, run):
            continue
        # Read again: the run may have finished normally in the meantime.
        current = instance.get_run_by_id(run.run_id)
        if current is not None and not current.is_finished:
            instance.report_run_failed(run, "The process of this run has ended. What it finished is kept.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed += 1
    return closed


def _inherits_its_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the tag names the process of the run that this one repeats: Dagster copies tags, and it starts later."""
    repeated = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    return repeated is not None and repeated.tags.get(PROCESS) == run.tags[PROCESS]


ALL = [abandoned_runs, trainings, impossible_partitions]
