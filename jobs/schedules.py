"""What happens at a time of day.

https://docs.dagster.io/guides/automate/schedules
"""

from collections.abc import Iterator

import dagster as dg

from assets.partitions import system_key
from assets.resources import WorkerLauncher
from jobs.jobs import AUTOMATIC, rescore
from t2s_pipeline.reporting.leaderboard import checkpoint_choices
from t2s_pipeline.steps.evaluation import VALIDATION


@dg.schedule(job=rescore, cron_schedule="0 2 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly(context: dg.ScheduleEvaluationContext, worker: WorkerLauncher) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Evaluates each run's chosen checkpoint again on val, at two in the morning (UTC)."""
    choices = checkpoint_choices(worker.settings)
    if not choices:
        yield dg.SkipReason("No run has a checkpoint that was evaluated on val.")
    for choice in choices:
        key = system_key(choice.system, choice.dataset, VALIDATION)
        yield dg.RunRequest(
            run_key=f"{context.scheduled_execution_time:%Y-%m-%d} {key}", partition_key=key, tags=AUTOMATIC
        )


ALL = [nightly]
