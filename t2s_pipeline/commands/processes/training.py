"""Run the job `training` of jobs/jobs.py for one run in this process: the program that `t2s train` becomes.

The arguments are the name of the run and the configuration of the training step, as JSON.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from t2s_pipeline.commands.processes.execute import execute, leave
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.training.checkpoints import latest


def main(run: str, config: Mapping[str, Any]) -> int:
    """Train the run, then print where its weights are and how to continue; return the exit code."""
    settings = Settings.from_env()

    def show(terminal: TextIO) -> None:
        checkpoint = latest(settings.runs / run)
        print(f"Trained weights: {'' if checkpoint is None else checkpoint.path}", file=terminal)
        print(f"Training curves: t2s sql \"from training_log where run = '{run}'\"", file=terminal)
        print(f"Export weights:  t2s export {run} FOLDER", file=terminal)

    return execute("training", {"ops": {"trained": {"config": config}}}, show, training=run)


if __name__ == "__main__":
    leave(main(sys.argv[1], json.loads(sys.argv[2])))
