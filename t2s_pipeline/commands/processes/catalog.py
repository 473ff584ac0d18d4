"""Record in Dagster's catalog what commands did: the process that `t2s_pipeline/commands/catalog.py` starts."""

import json
import os
import sys

from assets.events import record_without_run
from t2s_pipeline.commands.catalog import waiting_files
from t2s_pipeline.commands.processes.history import open_history
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.step import StepReport


def main() -> int:
    """Record and remove every waiting file; return the exit code.

    A file whose work is not in the lake any more is removed without a record: there is nothing to describe.
    """
    os.nice(5)
    settings = Settings.from_env()
    with only_one(settings.home, "Dagster's catalog"), open_history(settings) as instance:
        for path in waiting_files(settings):
            reports = [StepReport(**report) for report in json.loads(path.read_text("utf-8"))]
            try:
                record_without_run(instance, settings, reports)
            except T2SError as error:
                print(f"{path.name}: {error}", file=sys.stderr)
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
