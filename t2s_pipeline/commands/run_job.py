"""Running a job in this process, for the command line: sentences on the terminal, everything else in a log file.

Not a definition of anything.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import dagster as dg
from sqlalchemy.exc import OperationalError

from assets.partitions import runs
from assets.terminal import TERMINAL
from jobs.housekeeping import close_abandoned
from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.definitions import defs
from t2s_pipeline.worker.process_ids import mine


def execute(
    job: str,
    config: Mapping[str, Any],
    show: Callable[[TextIO], None],
    training: str | None = None,
) -> int:
    """Run a job with Dagster's history, and return the exit code.

    Args:
        config: the job's run configuration.
        show: what the terminal gets to see at the end.
        training: the partition to train, for a job that has such.
    """
    settings = Settings.from_env()
    log = settings.logs / f"{job}-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    with disk_room(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        terminal = keep_terminal(log)

    def failed(sentence: str) -> int:
        print(f"error: {sentence}\n(everything that was said: {log})", file=terminal)
        return 1

    def crashed(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, fault, trace)
        failed(f"{kind.__name__}: {fault}")

    sys.excepthook = crashed
    stop_politely()
    try:
        with dg.DagsterInstance.get() as instance:
            close_abandoned(instance)
            if training is not None:
                instance.add_dynamic_partitions(runs.name, [training])
            defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_config={**config, "loggers": {"console": {}, "terminal": {}}},
                tags=mine(),
                partition_key=training,
            )
    except T2SError as error:
        return failed(str(error))
    except OperationalError as error:  # Dagster's own history, on the same disk
        if "disk is full" not in str(error):
            raise
        return failed(f"The disk is full: free some space below {settings.home}; what was finished before is kept.")
    # Dagster turns an interrupt within a step into its own kind.
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        return failed("Stopped. What was finished is kept: the same command goes on from there.")
    show(terminal)
    return 0


def keep_terminal(log: Path) -> TextIO:
    """Send what libraries and workers print to a file from here on, and return the terminal for our sentences.

    File descriptors are exchanged, not ``sys.stdout``, because subprocesses and Dagster's compute logs use them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.fdopen(os.dup(1), "w", buffering=1)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ[TERMINAL] = str(terminal.fileno())
    return terminal


def stop_politely() -> None:
    """Let SIGTERM and SIGHUP end the run as Ctrl-C does: the worker is stopped, the run is shown as failed."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
