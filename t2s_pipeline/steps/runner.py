"""The one place that decides whether a step has anything to do, and that runs it.

A step is finished if its result carries the fingerprint of the step's code, of what it reads and of its settings as
they are now. A training is finished if its run is (``steps/training.py``). Assets, the job ``demo`` and the command
line all run steps through here, so each of them knows what the others finished.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.steps.fingerprints import code_fingerprint
from t2s_pipeline.steps.step import Context, Step, StepReport
from t2s_pipeline.steps.step_times import CostMeter, record_cost

MOST_REPETITIONS = 5
"""How often a summary is made again because another machine has added results."""


def keep_no_record(reports: Sequence[StepReport]) -> None:
    """Record nothing: the caller records the reports that ``Runner.run`` returns."""


@dataclass(frozen=True)
class Runner(Context):
    """Runs steps in a T2S_HOME.

    Attributes:
        record: takes the reports of each step that has run, for a record of what was done.
    """

    record: Callable[[Sequence[StepReport]], None] = keep_no_record

    def run(self, step: Step) -> list[StepReport]:
        """Do the step unless its finished work is still valid; report each partition that it makes.

        While one process runs a step, no other process runs the same step on the same partitions. What the step
        reads is looked at only after the lock is held, because the process before may have changed it. The time and
        memory of a step that did its work are recorded in the table ``step_times``.

        Raises:
            NotMaterializedError: if something that the step reads is not there.
            T2SError: if the step fails. What was finished before stays as it was.
        """
        with only_one(self.settings.home, _description(step), self.say):
            current = step_fingerprint(step, self)
            skipped = not self.fresh and step.is_valid(self, current)
            if skipped:
                step.after_skipping(self, current)
            else:
                with CostMeter() as meter:
                    self._work(step, current)
            reports = step.reports(self, skipped)
            if not skipped:
                rows = sum(report.rows for report in reports)
                home, lake = self.settings.home, self.settings.lake
                record_cost(home, lake, step.name, _subject(step), rows, meter.cost, self.say)
        for report in reports:
            self.say(str(report))
        self.record(reports)
        return reports

    def _work(self, step: Step, current: str) -> None:
        """Let the step work.

        Another machine does not see our lock. If it has changed what a summary of all systems is made from, while we
        made that summary, the summary is made again. So the last one that is written knows the results of all machines.
        """
        step.work(self, current)
        if isinstance(self.settings.lake, Path) or all(target.partition for target in step.writes()):
            return
        for _ in range(MOST_REPETITIONS):
            now = step_fingerprint(step, self)
            if now == current:
                return
            current = now
            step.work(self, current)


def step_fingerprint(step: Step, context: Context) -> str:
    """The fingerprint of everything that the step's result depends on, as it is now.

    Raises:
        NotMaterializedError: if something that the step reads is not there.
    """
    lake = context.settings.lake
    return fingerprint(
        code=code_fingerprint(step.code),
        columns=[str(target.table.schema) for target in step.writes()],
        reads=[[source.table.name, source.partition, source.required_fingerprint(lake)] for source in step.reads()],
        **step.inputs(context),
    )


def _description(step: Step) -> str:
    """The step and what it makes, for the lock and for a process that waits."""
    return f"{step.name}: {'; '.join(str(target) for target in step.writes())}"


def _subject(step: Step) -> str:
    """The values of the partitions that the step makes, each once: ``think2seg-mini synthetic test``."""
    return " ".join(dict.fromkeys(value for target in step.writes() for value in target.partition.values()))
