"""Runs whose process died without a word (killed, power lost): shown as failed, slots given back.

Dagster sees that a run's process is gone only while the code server that started it lives.
"""

import socket

import dagster as dg

from t2s_pipeline.alive import HOST, PROCESS, is_gone


def close_abandoned(instance: dg.DagsterInstance) -> int:
    """Fail every unfinished run that names a process of this host that is gone; returns how many."""
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
