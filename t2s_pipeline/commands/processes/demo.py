"""Run the job `demo` of jobs/demo.py in this process: the program that `t2s demo` becomes.

The first argument is the configuration of the job's first op, as JSON.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from t2s_pipeline.commands.printing import VisibleConsole
from t2s_pipeline.commands.processes.execute import execute, leave
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog
from t2s_pipeline.methods.shared_settings import EMBEDDED_DATASET
from t2s_pipeline.reporting.leaderboard import as_tables


def main(config: Mapping[str, Any]) -> int:
    """Run the job, then print the leaderboard and where the results are; return the exit code."""
    settings = Settings.from_env()

    def show(terminal: TextIO) -> None:
        dataset = catalog.add_dataset(settings, Path(config["scenes"])) if config["scenes"] else EMBEDDED_DATASET
        VisibleConsole(file=terminal).print(as_tables(settings, dataset))
        print(f"Results page:   {settings.page}", file=terminal)
        print("Web UI:         make ui   (then http://127.0.0.1:3000)", file=terminal)
        print('Query in SQL:   .venv/bin/t2s sql "select * from leaderboard"', file=terminal)

    return execute("demo", {"ops": {"files": {"config": config}}}, show)


if __name__ == "__main__":
    leave(main(json.loads(sys.argv[1])))
