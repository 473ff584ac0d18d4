"""Runs whose process has ended without saying so. A sensor and each command that runs a job close them."""

import socket

import dagster as dg

from t2s_pipeline.worker.process_ids import HOST, PROCESS, is_gone


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
