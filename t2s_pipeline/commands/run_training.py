"""Runs the job `training` for one experiment in this process, for `t2s train`.

Not a definition of anything: Dagster loads the job from jobs/jobs.py.
"""

import json
import sys
from typing import TextIO

from t2s_pipeline.commands.run_job import execute
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.training.checkpoints import latest


def main(run: str, config: dict) -> int:
    settings = Settings.from_env()

    def show(terminal: TextIO) -> None:
        last = latest(settings.runs / run)
        print(f"Trained:    {'' if last is None else last.path}", file=terminal)
        print(f"Its curves: t2s sql \"from training_log where run = '{run}'\"", file=terminal)
        print(f"Its files:  t2s export {run} FOLDER", file=terminal)

    return execute("training", {"ops": {"trained": {"config": config}}}, show, training=run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
